"""``study.json``: what a reader of a study's directory needs to know before opening its storage."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a3c_exp.runs.record import now
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.sweep.study.config import StudySettings
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.cli import command
from a3c_exp.system.machine import git_commit


def read_study_file(directory: Path) -> dict[str, Any]:
    """Its content; empty without a readable one."""
    try:
        content = json.loads((directory / STUDY_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_study_file(
    directory: Path, name: str, settings: StudySettings, sweeper: DictConfig, signature: dict[str, Any]
) -> None:
    """Write it anew, with one more command that worked on the study.

    The storage stands in it as in the configuration: a password given as ``${oc.env:NAME}`` is not written down.
    """
    storage = sweeper._get_node("storage")
    typed = None if storage is None else storage._value()
    sessions = read_study_file(directory).get("sessions", [])
    content = {
        "format": 1,
        "study_name": name,
        "storage": None if typed is None else str(typed),
        "n_trials": settings.n_trials,
        "prunes": can_prune(settings),
        "sampler": dict(settings.sampler),
        "pruner": None if settings.pruner is None else dict(settings.pruner),
        **signature,
        "sessions": [*sessions, {"started": now(), "command": command(), "git": git_commit()}],
    }
    write_json(directory / STUDY_FILE, content)
