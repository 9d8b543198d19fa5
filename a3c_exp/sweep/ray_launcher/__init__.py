"""Runs of a sweep on the nodes of a Ray cluster: what stands behind ``hydra/launcher=ray``."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig as RayLauncherConfig
    from a3c_exp.sweep.ray_launcher.launch import launch as launch
