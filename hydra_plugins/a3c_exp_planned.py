"""The runs of a sweep that is gone on with, as a Hydra sweeper. Hydra imports this at every start, so it stays light."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PlannedSweeper(Sweeper):
    """Launches the runs that the sweep's directory keeps a plan of, under their old numbers and in their old directories."""

    def __init__(self, **settings: Any) -> None:  # those of Hydra's own sweeper, whose place it takes
        self._setup_arguments: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._setup_arguments = (hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        from a3c_exp.sweep.planned.sweeper import sweep

        assert self._setup_arguments is not None
        return sweep(*self._setup_arguments)
