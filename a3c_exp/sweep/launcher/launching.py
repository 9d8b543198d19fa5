"""What every launcher of several jobs at a time does: from Hydra's arguments to jobs, their view, and their results."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.sweep.launcher.compile_ahead import CompileAhead
from a3c_exp.sweep.launcher.job import JobSpec, pickle_hydra_state
from a3c_exp.sweep.launcher.pool import JobPlace, JobPool
from a3c_exp.sweep.launcher.sweep_progress import JobState, SweepProgress, job_names
from a3c_exp.sweep.planned.resume import jobs_to_launch
from a3c_exp.system.cli import command_line, outcomes
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.signals import StopSignals


def launch_jobs(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    place: Callable[[], JobPlace[Any]],
    compiles_ahead: bool = False,
) -> Sequence[JobReturn]:
    """Run all jobs, as ``hydra.plugins.launcher.Launcher.launch`` promises.

    Args:
        first_number: hydra.job.num of the first job.
        place: makes where they run, once it is known that there are any.
        compiles_ahead: whether they run here, so that code which is compiled meanwhile serves them.

    Raises:
        ConfigError: the jobs cannot be sent to other processes.
        SystemExit: a signal asked to stop, once every run had time to save a checkpoint.
    """
    function = importable_name(task_function)
    directory = Path(str(config.hydra.sweep.dir))
    directory.mkdir(parents=True, exist_ok=True)
    shared = pickle_hydra_state(context, config), function, command_line(), dict(os.environ), str(Path.cwd())
    specs = [JobSpec(first_number + index, list(overrides), *shared) for index, overrides in enumerate(job_overrides)]
    outcomes.total = max(outcomes.total, first_number + len(specs))
    names = job_names([spec.overrides for spec in specs])
    pairs = [(spec, JobState(spec.number, name)) for spec, name in zip(specs, names, strict=True)]
    if (numbers := jobs_to_launch(directory)) is not None:
        pairs = [(spec, job) for spec, job in pairs if spec.number in numbers]
    if not pairs:
        return []
    pool_place = place()
    progress = SweepProgress(directory, outcomes)
    with StopSignals() as stop:
        pool = JobPool(pairs, progress, pool_place, CompileAhead([job for _, job in pairs]) if compiles_ahead else None)
        try:
            pool.run(stop)
        finally:
            pool.kill_all()
            progress.close(stopped_by=stop.name if stop.requested() else None)
    if stop.requested():
        raise SystemExit(stop.exit_code)
    return [job.result for _, job in pairs if job.result is not None]


def importable_name(task_function: TaskFunction) -> tuple[str, str]:
    """The module and name by which another process finds Hydra's function. Raises ConfigError if there are none."""
    module, name = sys.modules[task_function.__module__], task_function.__qualname__
    if module.__spec__ is None or getattr(module, name, None) is not task_function:
        raise ConfigError(
            f"jobs of a sweep run in other processes, and they could not find {name}, which is no function of an importable "
            "module. Try hydra/launcher=basic"
        )
    return module.__spec__.name, name  # which is not __main__ where python -m runs it
