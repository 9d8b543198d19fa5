"""Whether a command asks for a study. Light, so that any other command need not wait for Optuna or torch."""

from collections.abc import Sequence

TRIAL_WORKER_VARIABLE = "A3C_LANE"
"""Environment variable that makes a process a lane of another's study: the command that began it."""

EXIT_WITH_PARENT_VARIABLE = "A3C_LANE_TIED"
"""Environment variable of a lane that ends when its standard input does, and so with whoever started it."""

TRIAL_NUMBER_VARIABLE = "A3C_TRIAL"
"""Environment variable that makes a job a trial: its number."""

_STUDY_KEYS = ("study", "hydra/sweeper", "experiment", "ablation")


def expand_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides with the short ``study.<key>`` written out.

    With ``++``, so that a sampler or pruner of another class may be given keys that the default one does not have.

    >>> expand_overrides(["study.n_trials=100", "+study=pendulum"])
    ['++hydra.sweeper.n_trials=100', '+study=pendulum']
    """
    return [f"++hydra.sweeper.{text.removeprefix('study.')}" if text.startswith("study.") else text for text in overrides]


def may_be_study(overrides: Sequence[str]) -> bool:
    """Whether any of these overrides can choose Optuna's sweeper, so that it is worth composing the configuration to see."""
    return any(text.lstrip("+").partition("=")[0] in _STUDY_KEYS for text in overrides)
