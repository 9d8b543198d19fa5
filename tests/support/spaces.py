"""Search spaces as people write them: one choice opens others."""

from typing import Any

from omegaconf import DictConfig
from optuna import Trial


def adam_or_sgd(config: DictConfig, trial: Trial, most: float = 0.9) -> None:
    """Momentum belongs to one of the two only."""
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
        trial.suggest_float("optimizer.momentum", 0.0, most)


def window_by_share(config: DictConfig, trial: Trial) -> dict[str, Any]:
    """The run's overrides are not what was drawn: a window as a share of the episode."""
    return {"n_step": round(config.max_episode_steps * trial.suggest_float("share", 0.1, 0.5))}


def empty(config: DictConfig, trial: Trial) -> None:
    """Forgot to suggest anything."""


def broken(config: DictConfig, trial: Trial) -> None:
    raise RuntimeError("this space has a hole")
