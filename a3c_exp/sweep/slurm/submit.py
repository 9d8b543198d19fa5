"""Runs of a sweep become job arrays, each of runs that need as many cores."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from a3c_exp.config.existing_runs import ExistingRuns
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan
from a3c_exp.runs.sweeps.slurm_jobs import SLURM_FOLDER, SlurmJobs, SubmittedArray, array_name
from a3c_exp.runs.sweeps.slurm_queue import call_slurm
from a3c_exp.sweep.launcher.job import required_cores
from a3c_exp.sweep.slurm.batch_script import batch_script
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig
from a3c_exp.system.cli import print_notice
from a3c_exp.system.errors import SlurmError

_USUAL_ARRAY_SIZE = 1001  # of Slurm's MaxArraySize, which is one more than the largest index


def submit(plan: SweepPlan, jobs: Sequence[PlannedJob], known: SlurmJobs, options: SlurmLauncherConfig) -> SlurmJobs:
    """Submit runs of a sweep and say as what; returns all arrays of the sweep. Raises SlurmError if Slurm takes one of them
    not; those before it stay submitted, and are noted."""
    (plan.directory / SLURM_FOLDER).mkdir(parents=True, exist_ok=True)
    existing = ExistingRuns.of_this_process()
    overrides = ["retry_failed=true"] * existing.retry_failed + [f"trust={modules}" for modules in existing.trusted]
    size = _max_array_size()
    for cpus, numbers in _by_cores(plan, jobs, options).items():
        for first, block in _blocks(numbers, size).items():
            array = SubmittedArray(array_name(plan.directory, [one.name for one in known.arrays]), None, first, tuple(block))
            script = plan.directory / SLURM_FOLDER / f"array-{array.name.rpartition('.')[2]}.sh"
            script.write_text(batch_script(plan.directory, array, cpus, options, overrides))
            known = known.with_array(array)  # before there is one: a command that is killed here has not lost it
            array_id = _sbatch(script)
            known = known.with_array(SubmittedArray(array.name, array_id, first, array.numbers))
            runs = f"{len(block)} run{'s' * (len(block) != 1)} of {cpus} core{'s' * (cpus != 1)}"
            print_notice(f"{plan.directory}: submitted {runs} as job {array_id} ({script})")
    return known


def _sbatch(script: Path) -> str:
    said = call_slurm("sbatch", "--parsable", str(script)).strip().splitlines()
    array_id = said[-1].partition(";")[0] if said else ""
    if not array_id.isdecimal():
        raise SlurmError(f"sbatch does not say which job it has made of {script}: {said}. Look at squeue")
    return array_id


def _by_cores(plan: SweepPlan, jobs: Sequence[PlannedJob], options: SlurmLauncherConfig) -> dict[int, list[int]]:
    """The numbers of runs by how many cores a job gets; with a limit on how many run at a time all are in one array."""
    if options.cpus is not None:
        return {options.cpus: [job.number for job in jobs]}
    known = dict[str, int]()  # most runs differ in nothing that matters here
    groups = defaultdict[int, list[int]](list)
    for job in jobs:
        relevant = {
            key: value
            for key, value in plan.values_of(job).items()
            if key in ("workers", "num_seeds") or key.partition(".")[0] == "parallelism"
        }
        if (mark := repr(sorted(relevant.items()))) not in known:
            known[mark] = required_cores(OmegaConf.create(_nested(relevant)))
        groups[known[mark]].append(job.number)
    if options.max_parallel is not None and len(groups) > 1:
        return {max(groups): sorted(number for numbers in groups.values() for number in numbers)}
    return dict(groups)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by their dotted names as a tree.

    >>> _nested({"workers": 4, "parallelism.processes": 2})
    {'workers': 4, 'parallelism': {'processes': 2}}
    """
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *folders, name = key.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return tree


def _blocks(numbers: Sequence[int], size: int) -> dict[int, list[int]]:
    """Numbers by the first of the array that they go into, whose indices are below ``size``."""
    blocks = defaultdict[int, list[int]](list)
    for number in numbers:
        blocks[number // size * size].append(number)
    return dict(blocks)


def _max_array_size() -> int:
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", call_slurm("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(match[1]) if match else _USUAL_ARRAY_SIZE)
