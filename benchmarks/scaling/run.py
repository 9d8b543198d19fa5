"""One measured point: its speed in the steady state, its processor time, and its memory with all that it starts."""

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.process_tree import PROC, pss_bytes, running
from benchmarks.harness.training_runs import OFFLINE, START_ALLOWANCE, all_lines
from benchmarks.scaling.points import BASE, SWEPT_RUNS, SWEPT_STEPS, Point
from benchmarks.suites.memory import LOOK_EVERY

COMPILING = 600.0  # seconds that a point may take to be compiled; beyond that the quiet hour is better spent on the others
PROBE_STEPS = 60_000  # of all seeds together
PARTS = 6
"""Lines of metrics that a run writes of itself: from the first to the last but one is what is measured."""
LEAST_ROUNDS = 2 * PARTS
SPARE = 0.04  # share of the machine's memory that must stay free: nobody else's process is to die of a measurement
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        steps_per_second: of all seeds; of a sweep: from the command to its end.
        memory_mb: the highest PSS of the process tree, start and end included, 10^6 bytes.
        cpu_microseconds: processor time of the tree a step; ``None`` for a sweep, whose processes come and go.
        seconds: from the command to its end.
    """

    steps_per_second: float
    memory_mb: float
    cpu_microseconds: float | None
    seconds: float


@dataclass(frozen=True)
class Compilation:
    """How a point came by its machine code.

    Attributes:
        seconds: that making it took; ``None`` where it was found in the cache.
        peak_mb: memory at most meanwhile, the compiler's processes included.
        remark: what is not machine code and why; ``None`` if everything is.
    """

    seconds: float | None
    peak_mb: float
    remark: str | None


class Watch:
    """Looks at a process tree: its memory, and its processor time at each moment."""

    def __init__(self) -> None:
        self.highest = 0
        self._spent: dict[int, float] = {}
        self._samples: list[tuple[float, float]] = []
        self._total, _ = memory_bytes()

    def __call__(self, pids: list[int]) -> None:
        used = pss_bytes(pids)
        self.highest = max(self.highest, used)
        self._spent |= cpu_seconds(pids)
        self._samples.append((time.time(), sum(self._spent.values())))
        available = memory_bytes()[1]
        if available < SPARE * self._total:
            raise MeasurementError(f"stopped at {used / 1e6:,.0f} MB: only {available / 1e6:,.0f} MB of memory were left")

    def cpu_between(self, start: float, end: float) -> float | None:
        """Seconds of processor time between two moments of the wall clock, in straight lines from look to look."""
        if len(self._samples) < 2 or not self._samples[0][0] <= start < end <= self._samples[-1][0]:
            return None
        return self._at(end) - self._at(start)

    def _at(self, moment: float) -> float:
        for (before, spent), (after, more) in pairwise(self._samples):
            if before <= moment <= after:
                return spent + (more - spent) * (moment - before) / max(after - before, 1e-9)
        raise AssertionError("the moment lies between the first look and the last")


class PointRuns:
    """Runs points below a temporary folder and remembers how fast each was, to size its next run.

    Args:
        folder: for run directories and outputs.
        seconds: of the steady state that is measured.
        cold: compile everything anew, for this measurement alone.
    """

    def __init__(self, folder: Path, seconds: float, cold: bool = False) -> None:
        self._folder = folder
        self._seconds = seconds
        self._environment: Mapping[str, str] = OFFLINE
        if cold:
            caches = {"XDG_CACHE_HOME": "cache", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
            self._environment = OFFLINE | {name: str(folder / value) for name, value in caches.items()}
        self._rates: dict[tuple[str, ...], float] = {}
        self._prepared: dict[tuple[str, ...], Compilation] = {}
        self._numbers = count()

    def prepare(self, point: Point) -> Compilation:
        """A short first run: machine code is made and kept, and the next run can be sized."""
        if point.swept:
            # One run of it is enough to make the code; whoever launches the others finds it.
            overrides = [one for one in point.overrides if not one.startswith(("seed=", "max_env_steps=", "hydra/launcher="))]
            point = Point(point.label, tuple(overrides))
        if point.overrides in self._prepared:
            return self._prepared[point.overrides]
        directory, watch, _ = self._run(point, PROBE_STEPS // point.seeds, COMPILING)
        lines = all_lines(directory)
        try:
            rate = fmean(rate_of(*stretch(some)) for some in lines)
        except MeasurementError:
            rate = fmean(some[-1]["env_step"] / max(some[-1]["wall_time"], 0.1) for some in lines if some)
        self._rates[point.overrides] = rate
        seconds, remark = machine_code(said(directory))
        self._prepared[point.overrides] = Compilation(seconds, watch.highest / 1e6, remark)
        return self._prepared[point.overrides]

    def measure(self, point: Point) -> Measured:
        """One run of about ``seconds`` in the steady state, or a whole sweep.

        Raises:
            MeasurementError: it failed, hung, took the machine's memory, or was too short.
        """
        if point.swept:
            return self._sweep(point)
        steps = int(self._rates[point.overrides] * self._seconds * PARTS / (PARTS - 2))
        directory, watch, seconds = self._run(point, steps, START_ALLOWANCE + 10 * self._seconds)
        lines = all_lines(directory)
        stretches = [stretch(some) for some in lines]
        rates = [rate_of(*one) for one in stretches]
        self._rates[point.overrides] = fmean(rates)
        # Its last line is the last thing that the first seed writes of its training, so it tells when its clock began.
        first = next(iter(sorted(directory.glob("seed=*"))), directory) / "metrics.jsonl"
        zero = first.stat().st_mtime - lines[0][-1]["wall_time"]
        start = max(first["wall_time"] for first, _ in stretches)
        end = min(last["wall_time"] for _, last in stretches)
        spent = watch.cpu_between(zero + start, zero + end) if end > start else None
        cpu = None if spent is None else 1e6 * spent / (sum(rates) * (end - start))
        return Measured(sum(rates), watch.highest / 1e6, cpu, seconds)

    def _run(self, point: Point, steps: int, limit: float) -> tuple[Path, Watch, float]:
        part = max(steps, LEAST_ROUNDS * point.round_steps) // PARTS
        budget = (f"max_env_steps={PARTS * part}", f"metrics.every_env_steps={part}")
        directory = self._scratch("run")
        return directory, *self._command([*point.overrides, *budget, f"hydra.run.dir='{directory}'"], limit)

    def _sweep(self, point: Point) -> Measured:
        directory = self._scratch("sweep")
        watch, seconds = self._command([*point.overrides, f"hydra.sweep.dir='{directory}'", "-m"], START_ALLOWANCE * SWEPT_RUNS)
        lived = sum(some[-1]["env_step"] for run in directory.glob("*/metrics.jsonl") for some in all_lines(run.parent))
        if lived != SWEPT_RUNS * SWEPT_STEPS:
            raise MeasurementError(f"the sweep took {lived:,} steps and not {SWEPT_RUNS * SWEPT_STEPS:,}")
        return Measured(lived / seconds, watch.highest / 1e6, None, seconds)

    def _command(self, overrides: Sequence[str], limit: float) -> tuple[Watch, float]:
        watch = Watch()
        arguments = [sys.executable, "-m", "a3c_exp", *BASE, *overrides]
        with running(arguments, self._scratch("output"), dict(self._environment)) as job:
            seconds = job.wait(limit, LOOK_EVERY, watch)
        return watch, seconds

    def _scratch(self, name: str) -> Path:
        return self._folder / f"{name}_{next(self._numbers)}"


def stretch(lines: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first line of metrics and the last but one, between which nothing started or ended.

    The last line is written once everybody has finished, so it would charge a seed for waiting for the others.
    """
    if len(lines) < 3:
        raise MeasurementError(f"metrics.jsonl has {len(lines)} lines; 3 are needed")
    first, last = lines[0], lines[-2]
    if last["wall_time"] <= first["wall_time"] or last["env_step"] <= first["env_step"]:
        raise MeasurementError("metrics.jsonl stands still between its first line and its last but one")
    return first, last


def rate_of(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """Environment steps a second between two lines of metrics."""
    return float((last["env_step"] - first["env_step"]) / (last["wall_time"] - first["wall_time"]))


def said(directory: Path) -> str:
    """All messages of a run, or of the first seed of one that trained several."""
    places = sorted(directory.glob("seed=*")) or [directory]
    try:
        return (places[0] / "messages.log").read_text()
    except OSError as error:
        raise MeasurementError(f"the run directory has no readable messages.log: {error.strerror}") from error


def machine_code(messages: str) -> tuple[float | None, str | None]:
    """What a run said of its machine code: seconds that it took to make, and what is none.

    >>> machine_code("compiled in 41 s; kept in /tmp")
    (41.0, None)
    >>> machine_code("compiled before: 4 functions found in /tmp")
    (None, None)
    >>> machine_code("not compiled, so this run goes on uncompiled and slower: no compiler")
    (None, 'nothing is machine code: no compiler')
    """
    if found := re.search(r"not compiled, so this run goes on uncompiled and slower: (.*)", messages):
        return None, f"nothing is machine code: {found[1]}"
    if found := re.search(r"(\d+) functions compiled, the others not: (.*)", messages):
        return None, f"only {found[1]} functions are machine code: {found[2]}"
    times = [float(one) for one in re.findall(r"compiled in (\d+) s", messages)]
    if not times and not re.search(r"compiled (before|by process)", messages):
        return None, "the run said nothing of machine code"
    return (sum(times) if times else None), None


def cpu_seconds(pids: Sequence[int]) -> dict[int, float]:
    """Processor time that each living process has spent, in user and in kernel mode."""
    spent = {}
    for pid in pids:
        try:
            text = (PROC / str(pid) / "stat").read_text()
        except OSError:
            continue  # it ended between the look and the reading
        fields = text[text.rindex(")") + 2 :].split()  # a command's name may itself hold spaces and brackets
        spent[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def memory_bytes() -> tuple[int, int]:
    """Of the machine: all, and what programs can still have.

    Raises:
        MeasurementError: this is not Linux.
    """
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError as error:
        raise MeasurementError("needs /proc/meminfo and /proc/<pid>/smaps_rollup (Linux 4.14 or newer)") from error
    sizes = {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":", 1) for line in lines)}
    return sizes["MemTotal"], sizes["MemAvailable"]
