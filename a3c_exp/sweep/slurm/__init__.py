"""Runs of a sweep as job arrays of a Slurm cluster: what stands behind ``hydra/launcher=slurm``."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.slurm.batch_script import batch_script as batch_script
    from a3c_exp.sweep.slurm.config import SlurmLauncherConfig as SlurmLauncherConfig
    from a3c_exp.sweep.slurm.launcher import launch as launch
