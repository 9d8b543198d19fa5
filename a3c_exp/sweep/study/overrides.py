"""Whether a command asks for a study. It imports neither Optuna nor torch, so that other commands start quickly."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.config.compose import expand_logger_lists
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.runs.tolerant_io import mapping, read_json_object
from a3c_exp.system.errors import RunDirectoryError

TRIAL_WORKER_VARIABLE = "A3C_TRIAL_WORKER"
"""Environment variable of a process that runs trials of a study: the command that started the study."""

EXIT_WITH_PARENT_VARIABLE = "A3C_TRIAL_WORKER_EXITS_WITH_PARENT"
"""Environment variable of a trial worker that ends when its standard input does, and so with its parent process."""

TRIAL_NUMBER_VARIABLE = "A3C_TRIAL"  # environment variable of a job that is a trial: its number

_STUDY_KEYS = ("study", "hydra/sweeper", "experiment", "ablation")


def expand_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides with ``study.<key>`` and lists of loggers expanded.

    The former with ``++``, since another sampler or pruner may have keys that the default one does not have.

    >>> expand_overrides(["study.n_trials=100", "+study=pendulum"])
    ['++hydra.sweeper.n_trials=100', '+study=pendulum']
    """
    expanded = expand_logger_lists(overrides)
    return [f"++hydra.sweeper.{text.removeprefix('study.')}" if text.startswith("study.") else text for text in expanded]


def may_be_study(overrides: Sequence[str]) -> bool:
    """Whether any of these overrides can choose Optuna's sweeper; composing the configuration tells for certain."""
    return any(text.lstrip("+").partition("=")[0] in _STUDY_KEYS for text in overrides)


def study_command(directory: Path, overrides: Sequence[str]) -> list[str]:
    """The arguments that go on with the study in ``directory``: those that it was started with, and further ``overrides``.
    Raises RunDirectoryError if ``study.json`` does not say which those are."""
    sessions = (read_json_object(directory / STUDY_FILE, []) or {}).get("sessions")
    typed = [str(mapping(session).get("command")) for session in sessions] if isinstance(sessions, list) else []
    words = next((words for words in map(shlex.split, typed) if not any(word.startswith("resume=") for word in words)), [])
    arguments = words[3:] if words[:2] == ["python", "-m"] else words[1:]
    if not arguments:
        raise RunDirectoryError(f"{directory} cannot be read: {STUDY_FILE} names no command. Type the study's command again")
    kept = [word for word in arguments if not word.startswith("hydra.sweep.dir=")]
    return [*kept, f"hydra.sweep.dir='{directory}'", *overrides]
