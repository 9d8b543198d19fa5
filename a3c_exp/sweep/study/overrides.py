"""Whether a command asks for a study. It imports neither Optuna nor torch, so that other commands start quickly."""

from collections.abc import Sequence

TRIAL_WORKER_VARIABLE = "A3C_TRIAL_WORKER"
"""Environment variable of a process that runs trials of a study: the command that started the study."""

EXIT_WITH_PARENT_VARIABLE = "A3C_TRIAL_WORKER_EXITS_WITH_PARENT"
"""Environment variable of a trial worker that ends when its standard input does, and so with its parent process."""

TRIAL_NUMBER_VARIABLE = "A3C_TRIAL"  # environment variable of a job that is a trial: its number

_STUDY_KEYS = ("study", "hydra/sweeper", "experiment", "ablation")


def expand_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides with ``study.<key>`` expanded.

    With ``++``, since another sampler or pruner may have keys that the default one does not have.

    >>> expand_overrides(["study.n_trials=100", "+study=pendulum"])
    ['++hydra.sweeper.n_trials=100', '+study=pendulum']
    """
    return [f"++hydra.sweeper.{text.removeprefix('study.')}" if text.startswith("study.") else text for text in overrides]


def may_be_study(overrides: Sequence[str]) -> bool:
    """Whether any of these overrides can choose Optuna's sweeper; composing the configuration tells for certain."""
    return any(text.lstrip("+").partition("=")[0] in _STUDY_KEYS for text in overrides)
