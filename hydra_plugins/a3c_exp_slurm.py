"""``hydra/launcher=slurm``: runs of a sweep as jobs of a cluster. Hydra imports this at every start, so it stays light."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Submits runs to Slurm and shows how they get on; what it does is in a3c_exp/sweep/slurm/.

    Args:
        settings: the keys of conf/hydra/launcher/slurm.yaml.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from pathlib import Path

        from a3c_exp.sweep.slurm.launcher import launch

        assert self._config is not None
        return launch(Path(str(self._config.hydra.sweep.dir)), self._settings)
