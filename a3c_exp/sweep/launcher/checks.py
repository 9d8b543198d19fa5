"""The keys of a launcher are checked before anything is started."""

from collections.abc import Iterable
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf

from a3c_exp.sweep.launcher.config import LocalLauncherConfig
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig
from a3c_exp.system.extras import require_extra


class LauncherConfig(Protocol):
    """The keys of a launcher."""

    def check(self) -> None: ...


_CONFIGS: dict[str, type[Any]] = {
    config._target_: config for config in (LocalLauncherConfig, RayLauncherConfig, SlurmLauncherConfig)
}


def check_launcher(launcher: DictConfig, runs: Iterable[DictConfig], at_a_time: int = 1) -> None:
    """Raises ConfigError for values out of bounds, where the launcher is one of this package's; where Ray is missing or has no
    such cluster; and where that has no room for ``runs`` of these configurations, so many at a time."""
    if config := _CONFIGS.get(launcher["_target_"]):
        values: Any = OmegaConf.to_container(launcher, resolve=True)
        checked: LauncherConfig = config(**values)
        checked.check()
        if isinstance(checked, RayLauncherConfig):
            require_extra("hydra/launcher=ray", "ray")
            from a3c_exp.sweep.ray_launcher.run_cores import check_room  # which others need not wait for

            check_room(checked, runs, at_a_time)
