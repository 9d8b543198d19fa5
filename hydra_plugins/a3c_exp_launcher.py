"""``hydra/launcher=local``: several jobs of a sweep at a time. Hydra imports this at every start, so it stays light."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.sweep.launcher.config import check_launcher_config


@dataclass
class LocalLauncherConf:
    """Keys of hydra.launcher."""

    _target_: str = "hydra_plugins.a3c_exp_launcher.LocalLauncher"
    n_jobs: int | None = None  # at a time; null: as many as find cores
    heartbeat_timeout: float = 120.0  # seconds without a sign of life after which a job counts as dead


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="a3c_exp")


class LocalLauncher(Launcher):
    """Runs jobs in processes on this machine; what it does stands in a3c_exp/launch/.

    Args:
        n_jobs: how many at a time; ``None`` counts each with the cores that it keeps busy and fills the machine.
        heartbeat_timeout: seconds without a sign of life after which a job's process counts as dead and is killed.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(self, n_jobs: int | None = None, heartbeat_timeout: float = 120.0) -> None:
        check_launcher_config(n_jobs, heartbeat_timeout)
        self._n_jobs = n_jobs
        self._heartbeat_timeout = heartbeat_timeout
        self._setup_arguments: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._setup_arguments = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from a3c_exp.sweep.launcher.local import launch

        assert self._setup_arguments is not None
        results: Sequence[Any] = launch(
            *self._setup_arguments, job_overrides, initial_job_idx, self._n_jobs, self._heartbeat_timeout
        )
        return results
