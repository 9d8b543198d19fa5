"""Optuna studies as a Hydra sweeper: ``hydra/sweeper=optuna``, or through ``+study=...``.

Hydra imports this at every start: keep it light, no torch, no optuna. What it does is in a3c_exp/sweep/.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Runs a study's trials; its settings are read from ``hydra.sweeper`` (conf/hydra/sweeper/optuna.yaml)."""

    def __init__(self, **settings: Any) -> None:
        self._setup_arguments: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._setup_arguments = (hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        from a3c_exp.sweep.study.sweeper import sweep

        assert self._setup_arguments is not None
        hydra_context, task_function, config = self._setup_arguments
        return sweep(config, hydra_context, task_function, arguments)
