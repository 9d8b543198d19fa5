"""Launches what a plan says, whatever the command and the files in ``conf/`` would make of it today."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.config.existing_runs import ExistingRuns
from a3c_exp.runs.sweep_plan import read_sweep_plan


def sweep(context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Sequence[JobReturn]:
    """Launch all runs that are planned in the sweep's directory, or the one that the command names; each decides by its
    directory whether it has anything to do. Raises the error of the first one that fails."""
    plan, number = read_sweep_plan(Path(str(config.hydra.sweep.dir))), ExistingRuns.of_this_process().job
    jobs = [job for job in plan.jobs if number in (None, job.number)]
    launcher: Any = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task_function, config=config)
    results: Sequence[JobReturn] = launcher.launch([list(job.overrides) for job in jobs], jobs[0].number)
    for result in results:
        _ = result.return_value  # which raises where the run failed
    return results
