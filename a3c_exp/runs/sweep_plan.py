"""``sweep.json``: which runs a sweep consists of, written before the first of them begins.

How each of them stands is not in it: their run directories say that, and nothing else does.
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from a3c_exp.runs.lease.holder import Holder
from a3c_exp.runs.status import FORMAT, RunStatus, require_format, run_status
from a3c_exp.runs.tolerant_io import read_json_object, strings
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import RunDirectoryError

SWEEP_FILE = "sweep.json"
_MAX_NAMED = 4  # runs of each status that a line names


@dataclass(frozen=True)
class PlannedJob:
    """One run of a sweep."""

    number: int  # hydra.job.num
    folder: str  # its run directory, from the sweep's
    overrides: tuple[str, ...]  # without sweeps, as Hydra gives them to a launcher
    values: Mapping[str, Any]  # the flat configuration's values, where they are not those of ``SweepPlan.values``

    @property
    def name(self) -> str:
        """What distinguishes it from the others, as the folder says."""
        return self.folder


@dataclass(frozen=True)
class GroupCost:
    """What one group of an ablation has taken so far."""

    name: str  # its protocol and arm, in words
    seeds: int  # that finished
    env_steps: float
    seconds: float  # of training, of all processes together


@dataclass(frozen=True)
class Look:
    """What an ablation's claims came to when a batch of seeds had ended."""

    seeds: int  # of a group that has had every batch
    num_verdicts: int
    undecided: tuple[str, ...]  # verdicts, in words
    waiting: tuple[str, ...]  # a run directory, from the sweep's, of each group for which further seeds may decide something
    costs: tuple[GroupCost, ...]


@dataclass(frozen=True)
class SweepPlan:
    """All runs of a sweep, and what else its command said."""

    directory: Path
    command: str  # as typed
    hydra_overrides: tuple[str, ...]  # those for Hydra itself, without the sweep's directory
    base_overrides: tuple[str, ...]  # those for the runs, sweeps included
    config_dirs: tuple[str, ...]  # further config folders, as absolute paths
    git: Mapping[str, Any] | None  # the commit of the code
    values: Mapping[str, Any]  # the flat configuration of the first job
    jobs: tuple[PlannedJob, ...]
    look_sizes: tuple[
        int, ...
    ] = ()  # seeds of a group after each batch, of an ablation that goes on until it knows; else empty
    batches: tuple[int, ...] = ()  # how many of the jobs there were when each batch was planned
    looks: tuple[Look, ...] = ()  # what was found after each batch

    @property
    def first_jobs(self) -> tuple[PlannedJob, ...]:
        """The jobs that the command itself asks for, without further batches."""
        return self.jobs[: self.batches[0]] if self.batches else self.jobs

    @property
    def path(self) -> Path:
        return self.directory / SWEEP_FILE

    def write(self) -> None:
        """Keep it in the sweep's directory, which is there."""
        content = {key: value for key, value in asdict(self).items() if key != "directory"}
        write_json(self.path, {"format": FORMAT, **content})

    def statuses(self) -> dict[int, RunStatus | None]:
        """How each job's run stands, by its number; ``None`` for one that has not begun."""
        return {job.number: self.status_of(job) for job in self.jobs}

    def status_of(self, job: PlannedJob) -> RunStatus | None:
        """How a job's run stands; ``None`` if it has not begun."""
        path = self.directory / job.folder
        if not (path / "run.json").exists():
            return None
        return run_status(path, read_json_object(path / "run.json", []) or {}, [])

    def values_of(self, job: PlannedJob) -> dict[str, Any]:
        """The flat configuration that a job had when the sweep was planned."""
        return {**self.values, **job.values}


def is_sweep(directory: Path) -> bool:
    """Whether a sweep was planned in this directory."""
    return (directory / SWEEP_FILE).is_file()


def read_sweep_plan(directory: Path) -> SweepPlan:
    """The plan that a sweep's directory keeps. Raises RunDirectoryError if it cannot be read or is of another format."""
    problems: list[str] = []
    content = read_json_object(directory / SWEEP_FILE, problems)
    if content is None:
        raise RunDirectoryError(f"{directory} cannot be read: {problems[0]}. Type the sweep's command again, elsewhere")
    require_format(directory, content)
    try:
        jobs = tuple(
            PlannedJob(int(job["number"]), str(job["folder"]), strings(job["overrides"]), dict(job["values"]))
            for job in content["jobs"]
        )
        hydra, base, config_dirs = (strings(content[key]) for key in ("hydra_overrides", "base_overrides", "config_dirs"))
        sizes, batches = (tuple(map(int, content.get(key, ()))) for key in ("look_sizes", "batches"))
        looks = tuple(map(_read_look, content.get("looks", ())))
        command, git, values = str(content["command"]), content["git"], dict(content["values"])
        return SweepPlan(directory, command, hydra, base, config_dirs, git, values, jobs, sizes, batches, looks)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunDirectoryError(
            f"{directory} cannot be read: {SWEEP_FILE} is damaged ({error!r}). Type the sweep's command again, elsewhere"
        ) from None


def _read_look(content: Mapping[str, Any]) -> Look:
    costs = (
        GroupCost(str(cost["name"]), int(cost["seeds"]), float(cost["env_steps"]), float(cost["seconds"]))
        for cost in content["costs"]
    )
    words = strings(content["undecided"]), strings(content["waiting"])
    return Look(int(content["seeds"]), int(content["num_verdicts"]), *words, tuple(costs))


@dataclass(frozen=True)
class SweepRest:
    """What is left of a sweep that no longer runs."""

    text: str  # "3 of 8 runs are left: 1 interrupted (seed=2), 2 missing (seed=6, seed=7)"
    command: str  # that goes on with them
    queue_command: str  # that lists which of them wait in Slurm's queue; empty for a sweep that Slurm was never given


def describe_rest(plan: SweepPlan) -> str:
    """What is left of a sweep, in words with the command that goes on with it; empty if it still runs, or all has finished.

    ``outputs/x_sweep: 3 of 8 runs are left: 1 interrupted (seed=2), 2 missing (seed=6, seed=7). Go on with them:
    python -m a3c_exp resume=outputs/x_sweep``"""
    if (rest := find_rest(plan)) is None:
        return ""
    queue = f"; which of them wait in Slurm's queue: {rest.queue_command}" if rest.queue_command else ""
    return f"{plan.directory}: {rest.text}. Go on with them: {rest.command}{queue}"


def find_rest(plan: SweepPlan) -> SweepRest | None:
    """What is left of a sweep; ``None`` if it still runs, or all has finished."""
    holder = Holder.read(plan.directory)
    if holder is not None and holder.seems_alive(plan.directory):
        return None
    folders = dict[str, list[str]]()
    for job in plan.jobs:
        status: str = plan.status_of(job) or "missing"
        if status not in ("finished", "pruned", "running"):
            folders.setdefault(status, []).append(job.folder)
    if not (count := sum(map(len, folders.values()))):
        if (last := len(plan.batches)) and (len(plan.looks) < last or (plan.looks[-1].waiting and last < len(plan.look_sizes))):
            text = f"all runs of {last} of {len(plan.look_sizes)} batches have ended, and a look at them is due"
            return SweepRest(text, f"python -m a3c_exp {shlex.quote(f'resume={plan.directory}')}", "")
        return None
    parts = []
    for status, names in folders.items():
        more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        parts.append(f"{len(names)} {status} ({', '.join(names[:_MAX_NAMED])}{more})")
    failed = " retry_failed=true" if "failed" in folders else ""
    go_on = f"python -m a3c_exp {shlex.quote(f'resume={plan.directory}')}{failed}"
    on_slurm = (plan.directory / "slurm").is_dir()
    queue = f"python -m a3c_exp.runs status {shlex.quote(str(plan.directory))}" if on_slurm else ""
    return SweepRest(f"{count} of {len(plan.jobs)} runs are left: {', '.join(parts)}", go_on, queue)
