"""Whether a command asks for a study. Light, so that any other command need not wait for Optuna or torch."""

from collections.abc import Sequence

LANE = "A3C_LANE"
"""Environment variable that makes a process a lane of another's study: the command that began it."""

TIED = "A3C_LANE_TIED"
"""Environment variable of a lane that ends when its standard input does, and so with whoever started it."""

TRIAL = "A3C_TRIAL"
"""Environment variable that makes a job a trial: its number."""

_MAY_CHOOSE = ("study", "hydra/sweeper", "experiment", "ablation")


def in_full(overrides: Sequence[str]) -> list[str]:
    """Overrides with the short ``study.<key>`` written out.

    With ``++``, so that a sampler or pruner of another class may be given keys that the default one does not have.

    >>> in_full(["study.n_trials=100", "+study=pendulum"])
    ['++hydra.sweeper.n_trials=100', '+study=pendulum']
    """
    return [f"++hydra.sweeper.{text.removeprefix('study.')}" if text.startswith("study.") else text for text in overrides]


def may_ask(overrides: Sequence[str]) -> bool:
    """Whether any of these overrides can choose Optuna's sweeper, so that it is worth composing the configuration to see."""
    return any(text.lstrip("+").partition("=")[0] in _MAY_CHOOSE for text in overrides)
