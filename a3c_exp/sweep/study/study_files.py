"""What a study writes into its directory: ``study.json``, and the best configuration as a file that ``+experiment=`` loads."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial

from a3c_exp.config.compose import compose_jobs
from a3c_exp.config.flatten import flatten
from a3c_exp.config.schema import config_to_dict
from a3c_exp.runs.record import now
from a3c_exp.runs.status import FORMAT, require_format
from a3c_exp.runs.study_storage import BEST_FOLDER, COMMAND, COMMAND_PREFIX, STUDY_FILE
from a3c_exp.runs.tolerant_io import read_json_object
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.study.search_space import SearchSpace, describe_distribution, format_override_value
from a3c_exp.sweep.study.study_snapshot import StudySnapshot, format_value
from a3c_exp.system.atomic_write import write_atomically, write_json
from a3c_exp.system.cli import command
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.machine import git_commit

_CONFIG_GROUPS = ("env", "model", "optimizer", "parallelism")
_EXCLUDED_KEYS = ("logger", "name", "tags")
_ABSENT = object()
_IRRELEVANT_KEYS = ("logger", "name", "tags", "checkpoint", "screenshots", "metrics", "evaluation.video")
"""Parts of the configuration that do not change a trial's value."""


def read_study_file(directory: Path) -> Mapping[str, Any]:
    """What ``study.json`` holds; nothing if it cannot be read. Raises RunDirectoryError if it is of another format."""
    if (content := read_json_object(directory / STUDY_FILE, [])) is not None:
        require_format(directory, content)
    return content or {}


def write_study_file(directory: Path, study_config: StudyConfig, sweeper: DictConfig, signature: dict[str, Any]) -> None:
    """Replace ``study.json``, with this command among its sessions; the storage is as configured: ``${oc.env:NAME}`` stays."""
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
    """Raises ConfigError, naming the first difference, for a study whose trials could not be compared with the new ones."""
    before, after = flatten(stored), flatten(requested)
    for key in before | after:
        if before.get(key) != after.get(key):
            name_in_command = key.removeprefix("config.").removeprefix("space.")
            old, new = before.get(key, "not there"), after.get(key, "not there")
            raise ConfigError(
                f"study {name} in {location} was started with {name_in_command}: {old}, and this command has "
                f"{name_in_command}: {new}. Type the old value, or start another study: study.study_name=..."
            )


class BestConfigWriter:
    """Writes the best configuration of a study into its directory whenever it changes, so that a killed study has it too."""

    def __init__(self, directory: Path, config: DictConfig) -> None:
        self._directory = directory
        sources = config.hydra.runtime.config_sources
        self._config_directories = [source.path for source in sources if source.provider == "command-line"]
        self._searchpath_overrides = [text for text in config.hydra.overrides.hydra if text.startswith("hydra.searchpath")]
        self._written_trials: list[int] = []
        self.commands: list[str] = []  # that run what was written

    def write_if_changed(self, snapshot: StudySnapshot) -> None:
        """Write the best configuration if it is another than before; with several objectives, the whole Pareto front."""
        best, study, several = snapshot.best, snapshot.study_config.study_name, len(snapshot.objectives) > 1
        numbers = [trial.number for trial in best]
        if numbers == self._written_trials:  # none, at first
            return
        self._written_trials = numbers
        names = [f"{study}_{number}" if several else str(study) for number in numbers]
        commands = [self._write(trial, name, snapshot) for trial, name in zip(best, names, strict=True)]
        folder = shlex.quote(str(self._directory / BEST_FOLDER))
        self.commands = [*([] if several else commands), f"python -m a3c_exp --config-dir {folder} +experiment={names[0]}"]

    def _write(self, trial: FrozenTrial, name: str, snapshot: StudySnapshot) -> str:
        overrides = [*shlex.split(str(trial.user_attrs[COMMAND]))[3:], *self._searchpath_overrides]
        goal = f"{', '.join(objective.name for objective in snapshot.objectives)} {format_value(trial)}"
        note = f"Trial {trial.number} of study {snapshot.study_config.study_name}: {goal}"
        try:
            return write_best_config(self._directory, name, overrides, note, self._config_directories)
        except (ConfigError, OSError) as error:  # configuration files that have changed, a full disk
            return f"trial {trial.number} could not be written as a file: {error}"


def write_best_config(directory: Path, name: str, overrides: Sequence[str], note: str, search: Sequence[str] = ()) -> str:
    """Write a trial's configuration as ``+experiment=name``: its differences from the defaults of the chosen config groups.

    ``overrides`` are the trial's, with those that all share; ``note`` is a comment line, ``search`` has further config folders.
    Returns the command that runs it without the study.
    """
    (job,) = compose_jobs(list(overrides), False, search)
    choices = {group: str(job.hydra.runtime.choices[group]) for group in _CONFIG_GROUPS}
    chosen = [f"{group}={choice}" for group, choice in choices.items()]
    defaults = _group_defaults(chosen, search)
    changed = {key: value for key, value in _flat_values(job.config).items() if value != defaults.get(key, _ABSENT)}
    known = {key for key in changed if key in defaults or any(name.startswith(f"{key}.") for name in defaults)}
    values = [f"{'' if key in known else '++'}{key}={format_override_value(value)}" for key, value in changed.items()]
    command = shlex.join(["python", "-m", "a3c_exp", *chosen, *values])
    folder = directory / BEST_FOLDER
    head = [
        "# @package _global_",
        f"# python -m a3c_exp --config-dir {shlex.quote(str(folder))} +experiment={name}",
        f"# {note}",
        f"# {COMMAND_PREFIX}{command}",
        "defaults:",
        *(f"  - override /{group}: {choice}" for group, choice in choices.items()),
    ]
    nested = OmegaConf.create()
    for key, value in changed.items():
        OmegaConf.update(nested, key, value, force_add=True)
    body = yaml.safe_dump(OmegaConf.to_container(nested), sort_keys=False, default_flow_style=None) if changed else ""
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "experiment" / f"{name}.yaml", "\n".join(head) + "\n\n" + body, durable=False)
    return command


def _group_defaults(group_choices: Sequence[str], search: Sequence[str]) -> dict[str, Any]:
    """The values of the chosen groups alone, also of groups that set no budget, without which nothing can be composed."""
    try:
        (plain,) = compose_jobs(list(group_choices), False, search)
    except ConfigError:
        (plain,) = compose_jobs([*group_choices, "max_updates=1"], False, search)
        return {**_flat_values(plain.config), "max_updates": None}
    return _flat_values(plain.config)


def _flat_values(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert isinstance(content, dict)
    return flatten({str(key): value for key, value in content.items()}, _EXCLUDED_KEYS)
