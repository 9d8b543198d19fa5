"""``hydra/launcher=ray``: runs of a sweep on a Ray cluster. Hydra imports this at every start, so it stays light."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig

ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConfig, provider="a3c_exp")


class RayLauncher(Launcher):
    """Runs jobs on the nodes of a cluster; what it does is in a3c_exp/sweep/ray_launcher/.

    Args:
        keys: see ``RayLauncherConfig``.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(self, **keys: Any) -> None:
        self._keys = RayLauncherConfig(**keys)
        self._keys.check()
        self._setup_arguments: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._setup_arguments = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from a3c_exp.sweep.ray_launcher.launch import launch

        assert self._setup_arguments is not None
        results: Sequence[Any] = launch(*self._setup_arguments, job_overrides, initial_job_idx, self._keys)
        return results
