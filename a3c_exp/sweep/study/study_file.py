"""``study.json``: what a reader of a study's directory needs before opening its storage."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a3c_exp.runs.record import now
from a3c_exp.runs.status import FORMAT, require_format
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.cli import command
from a3c_exp.system.machine import git_commit


def read_study_file(directory: Path) -> dict[str, Any]:
    """Its content; empty if it cannot be read.

    Raises:
        RunDirectoryError: it is of an older format.
    """
    try:
        content = json.loads((directory / STUDY_FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    require_format(directory, content)
    return content


def write_study_file(
    directory: Path, name: str, study_config: StudyConfig, sweeper: DictConfig, signature: dict[str, Any]
) -> None:
    """Replace it, with this command added to its sessions.

    The storage is written as in the configuration: a password given as ``${oc.env:NAME}`` is not written.
    """
    storage = sweeper._get_node("storage")
    typed = None if storage is None else storage._value()
    sessions = read_study_file(directory).get("sessions", [])
    content = {
        "format": FORMAT,
        "study_name": name,
        "storage": None if typed is None else str(typed),
        "n_trials": study_config.n_trials,
        "prunes": can_prune(study_config),
        "sampler": dict(study_config.sampler),
        "pruner": None if study_config.pruner is None else dict(study_config.pruner),
        **signature,
        "sessions": [*sessions, {"started": now(), "command": command(), "git": git_commit()}],
    }
    write_json(directory / STUDY_FILE, content)
