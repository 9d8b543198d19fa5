"""Several runs at a time on this machine: what stands behind ``hydra/launcher=local``."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.sweep.launcher.config import LocalLauncherConfig as LocalLauncherConfig
    from a3c_exp.sweep.launcher.local import launch as launch
else:
    __getattr__, __all__ = lazy_exports(__name__, LocalLauncherConfig="config", launch="local")
