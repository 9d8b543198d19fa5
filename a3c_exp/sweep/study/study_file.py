"""``study.json``: what a reader needs before opening a study's storage; and what all trials of a study have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a3c_exp.config.schema import config_to_dict
from a3c_exp.runs.record import now
from a3c_exp.runs.status import FORMAT, require_format
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.runs.tolerant_io import read_json_object
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.study.search_space import SearchSpace, describe_distribution
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.cli import command
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.flatten import flatten
from a3c_exp.system.machine import git_commit

_IRRELEVANT_KEYS = ("logger", "name", "tags", "checkpoint", "screenshots", "metrics", "evaluation.video")
"""Parts of the configuration that do not change a trial's value."""


def read_study_file(directory: Path) -> Mapping[str, Any]:
    """Its content; empty if it cannot be read. Raises RunDirectoryError if it is of another format."""
    content = read_json_object(directory / STUDY_FILE, [])
    if content is not None:
        require_format(directory, content)
    return content or {}


def write_study_file(directory: Path, study_config: StudyConfig, sweeper: DictConfig, signature: dict[str, Any]) -> None:
    """Replace it, with this command added to its sessions.

    The storage is written as in the configuration: a password given as ``${oc.env:NAME}`` is not written.
    """
    storage = sweeper._get_node("storage")
    typed = None if storage is None else storage._value()
    sessions = read_study_file(directory).get("sessions", [])
    content = {
        "format": FORMAT,
        "study_name": study_config.study_name,
        "storage": None if typed is None else str(typed),
        "n_trials": study_config.n_trials,
        "prunes": can_prune(study_config),
        "sampler": dict(study_config.sampler),
        "pruner": None if study_config.pruner is None else dict(study_config.pruner),
        **signature,
        "sessions": [*sessions, {"started": now(), "command": command(), "git": git_commit()}],
    }
    write_json(directory / STUDY_FILE, content)


def study_signature(study_config: StudyConfig, space: SearchSpace, base: DictConfig) -> dict[str, Any]:
    """What all trials of a study have in common, also when it is resumed, in plain values: as it is stored in the study."""
    custom = study_config.custom_search_space
    config = flatten(config_to_dict(base), _IRRELEVANT_KEYS)
    return {
        "objectives": [[objective.name, objective.direction] for objective in study_config.objectives],
        "space": {name: describe_distribution(distribution) for name, distribution in space.distributions.items()},
        "custom_search_space": None if custom is None else dict(custom),
        "seeds": list(study_config.seeds),
        "config": {key: value for key, value in config.items() if key not in space.distributions},
    }


def check_same_study(name: str, location: str, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Refuse to resume a study with another signature: its trials could not be compared with the new ones.

    ``name`` and ``location`` are for the message of the ConfigError, which names the first difference.
    """
    before, after = flatten(stored), flatten(requested)
    for key in before | after:
        if before.get(key) != after.get(key):
            name_in_command = key.removeprefix("config.").removeprefix("space.")
            old, new = before.get(key, "not there"), after.get(key, "not there")
            raise ConfigError(
                f"study {name} in {location} was started with {name_in_command}: {old}, and this command has "
                f"{name_in_command}: {new}. Type the old value, or start another study: study.study_name=..."
            )
