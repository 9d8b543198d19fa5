"""Several runs at a time on this machine: what stands behind ``hydra/launcher=local``."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.launcher.config import LocalLauncherConfig as LocalLauncherConfig
    from a3c_exp.sweep.launcher.local import launch as launch
