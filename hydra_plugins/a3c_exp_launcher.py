"""``hydra/launcher=local``: several jobs of a sweep at a time. Hydra imports this at every start, so it stays light."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.sweep.launcher.config import LocalLauncherConfig

ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConfig, provider="a3c_exp")


class LocalLauncher(Launcher):
    """Runs jobs in processes on this machine; what it does is in a3c_exp/sweep/launcher/.

    Args:
        n_jobs, heartbeat_timeout: see ``LocalLauncherConfig``.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(self, n_jobs: int | None = None, heartbeat_timeout: float = 120.0) -> None:
        LocalLauncherConfig(n_jobs=n_jobs, heartbeat_timeout=heartbeat_timeout).check()
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
