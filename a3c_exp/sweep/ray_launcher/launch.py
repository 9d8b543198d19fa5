"""``hydra/launcher=ray``: jobs on whichever nodes of a Ray cluster have cores free."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from a3c_exp.sweep.launcher.job import JobSpec
from a3c_exp.sweep.launcher.launching import launch_jobs
from a3c_exp.sweep.ray_launcher.cluster import RayCluster
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.ray_launcher.run_cores import RunCores
from a3c_exp.sweep.study.overrides import TRIAL_WORKER_VARIABLE


def launch(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    keys: RayLauncherConfig,
) -> Sequence[JobReturn]:
    """``launch_jobs`` on a Ray cluster. Raises ConfigError besides if there is none."""

    if TRIAL_WORKER_VARIABLE in os.environ:
        keys = replace(keys, max_restarts=0)  # the study tries a lost trial again, in a directory of its own

    def composed(spec: JobSpec) -> DictConfig:
        job = context.config_loader.load_sweep_config(config, list(spec.overrides))
        with open_dict(job):
            job.hydra.job.id = job.hydra.job.num = spec.number
        return job

    def directory(spec: JobSpec) -> str:
        job = composed(spec)
        HydraConfig.instance().set_config(job)  # as Hydra does for each job; its names refer to it
        return str(Path.cwd() / str(job.hydra.sweep.dir) / str(job.hydra.sweep.subdir))

    def place() -> RayCluster:
        return RayCluster(keys, lambda spec: RunCores.of(composed(spec), keys), directory, f"resume={config.hydra.sweep.dir}")

    return launch_jobs(context, task_function, config, job_overrides, first_number, place)
