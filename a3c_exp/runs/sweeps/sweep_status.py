"""How all runs of a sweep stand: what their directories say, and where a cluster has them what its queue says."""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.runs.format_table import Column, Terminal, TextCell, format_table
from a3c_exp.runs.run_summary import BUDGET_COUNTS, RunSummary
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan, read_sweep_plan
from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs
from a3c_exp.runs.sweeps.slurm_queue import QueuedTask
from a3c_exp.runs.tolerant_io import number
from a3c_exp.system.errors import SlurmError
from a3c_exp.system.number_format import format_number

_STYLES = {"finished": "green", "failed": "red", "killed": "red", "running": "bold", "waiting": "cyan"}
_LEFT = ("interrupted", "failed", "killed", "missing", "unknown")
"""What no process and no queue will go on with by itself."""


@dataclass(frozen=True)
class RunStanding:
    """How one run of a sweep stands."""

    job: PlannedJob
    status: str  # a RunStatus; ``waiting`` in a queue, whatever it was before; ``missing``: it has not begun
    progress: float  # used share of its budget in [0, 1]; NaN where that is not known
    evaluation: float  # mean return of the last one; NaN without
    slurm: str  # its job and where that is: ``12_3 on n1``; empty without


def standings(plan: SweepPlan, ids: Mapping[int, str], queued: Mapping[int, QueuedTask]) -> list[RunStanding]:
    """Every run of a sweep, in order of their numbers.

    Args:
        ids: Slurm's jobs by the numbers of their runs.
        queued: those that wait or run.
    """
    found = []
    for job in plan.jobs:
        status: str = plan.status_of(job) or "missing"
        task = queued.get(job.number)
        if task is not None and task.waits:
            status = "waiting"
        elif task is not None and status not in ("finished", "pruned", "failed"):
            status = "running"  # it is being prepared, or saves its last checkpoint
        summary = RunSummary(plan.directory / job.folder)
        begun = (summary.path / "run.json").exists()
        evaluation, progress = (summary.result("evaluation"), _progress(summary)) if begun else (math.nan, math.nan)
        found.append(RunStanding(job, status, progress, evaluation, _place(ids.get(job.number, ""), task)))
    return found


def status_table(directory: Path, terminal: Terminal) -> tuple[str, str]:
    """A line for each run of the sweep in ``directory``, one that counts them and says how to go on; and why the queue is not
    known, where it cannot be asked. Raises RunDirectoryError if there is no plan."""
    plan, jobs = read_sweep_plan(directory), SlurmJobs.read(directory)
    queued: Mapping[int, QueuedTask] = {}
    problem = ""
    try:
        queued = jobs.queued()
    except SlurmError as error:
        problem = str(error)
    runs = standings(plan, jobs.job_ids(), queued)
    titles = ["run", "status", "done", "evaluation"] + ["Slurm's job"] * bool(jobs.arrays)
    columns = [Column(title, title in ("done", "evaluation"), rank) for rank, title in enumerate(titles)]
    rows = []
    for run in runs:
        done = "" if math.isnan(run.progress) else f"{int(100 * run.progress)}%"
        evaluation = "" if math.isnan(run.evaluation) else format_number(run.evaluation)
        row = [TextCell(run.job.name), TextCell(run.status, _STYLES.get(run.status, "yellow")), TextCell(done)]
        rows.append([*row, TextCell(evaluation), *[TextCell(run.slurm)] * bool(jobs.arrays)])
    return f"{format_table(columns, rows, terminal)}\n\n{_conclusion(plan, runs)}", problem


def _conclusion(plan: SweepPlan, runs: Sequence[RunStanding]) -> str:
    counts = Counter(run.status for run in runs)
    text = f"{len(runs)} run{'s' * (len(runs) != 1)}: " + ", ".join(
        f"{count} {status}" for status, count in counts.most_common()
    )
    if any(counts[status] for status in _LEFT):
        failed = " retry_failed=true" if counts["failed"] else ""
        text += f". Go on: python -m a3c_exp {shlex.quote(f'resume={plan.directory}')}{failed}"
    return text


def _place(job_id: str, task: QueuedTask | None) -> str:
    if task is None:
        return job_id
    where = task.reason if task.waits else f"on {task.nodes}"
    return f"{task.job_id} ({where})" if task.waits else f"{task.job_id} {where}"


def _progress(run: RunSummary) -> float:
    """The used share of the budget that ends first."""
    limits = {result: number(run.value(key)) for key, result in BUDGET_COUNTS.items()}
    shares = [run.result(result) / limit for result, limit in limits.items() if limit > 0]
    return min(1.0, max((share for share in shares if not math.isnan(share)), default=math.nan))
