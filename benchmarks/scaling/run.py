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
from benchmarks.harness.process_tree import PROC, pss_bytes, run_command
from benchmarks.harness.training_runs import OFFLINE_ENVIRONMENT, STARTUP_TIMEOUT, metrics_by_seed
from benchmarks.scaling.points import BASE_OVERRIDES, SWEPT_RUNS, SWEPT_STEPS, Point
from benchmarks.suites.memory import POLL_INTERVAL

COMPILE_TIMEOUT = (
    600.0  # seconds that a point may take to be compiled; beyond that the quiet hour is better spent on the others
)
PROBE_STEPS = 60_000  # of all seeds together
NUM_METRICS_LINES = 6
"""Lines of metrics that a run writes of itself: from the first to the last but one is what is measured."""
MIN_ROUNDS = 2 * NUM_METRICS_LINES
MIN_FREE_MEMORY_SHARE = (
    0.04  # share of the machine's memory that must stay free: nobody else's process is to die of a measurement
)
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class PointMeasurement:
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


class ProcessTreeMonitor:
    """Looks at a process tree: its memory, and its processor time at each moment."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._cpu_seconds: dict[int, float] = {}
        self._samples: list[tuple[float, float]] = []
        self._total_memory, _ = memory_bytes()

    def __call__(self, pids: list[int]) -> None:
        used = pss_bytes(pids)
        self.peak_bytes = max(self.peak_bytes, used)
        self._cpu_seconds |= cpu_seconds(pids)
        self._samples.append((time.time(), sum(self._cpu_seconds.values())))
        available = memory_bytes()[1]
        if available < MIN_FREE_MEMORY_SHARE * self._total_memory:
            raise MeasurementError(f"stopped at {used / 1e6:,.0f} MB: only {available / 1e6:,.0f} MB of memory were left")

    def cpu_seconds_between(self, start: float, end: float) -> float | None:
        """Seconds of processor time between two moments of the wall clock, in straight lines from look to look."""
        if len(self._samples) < 2 or not self._samples[0][0] <= start < end <= self._samples[-1][0]:
            return None
        return self._cpu_seconds_at(end) - self._cpu_seconds_at(start)

    def _cpu_seconds_at(self, moment: float) -> float:
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
        self._environment: Mapping[str, str] = OFFLINE_ENVIRONMENT
        if cold:
            caches = {"XDG_CACHE_HOME": "cache", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
            self._environment = OFFLINE_ENVIRONMENT | {name: str(folder / value) for name, value in caches.items()}
        self._rates: dict[tuple[str, ...], float] = {}
        self._compilations: dict[tuple[str, ...], Compilation] = {}
        self._path_counter = count()

    def prepare(self, point: Point) -> Compilation:
        """A short first run: machine code is made and kept, and the next run can be sized."""
        if point.swept:
            # One run of it is enough to make the code; whoever launches the others finds it.
            overrides = [one for one in point.overrides if not one.startswith(("seed=", "max_env_steps=", "hydra/launcher="))]
            point = Point(point.label, tuple(overrides))
        if point.overrides in self._compilations:
            return self._compilations[point.overrides]
        directory, watch, _ = self._run(point, PROBE_STEPS // point.seeds, COMPILE_TIMEOUT)
        lines = metrics_by_seed(directory)
        try:
            rate = fmean(rate_of(*measured_span(some)) for some in lines)
        except MeasurementError:
            rate = fmean(some[-1]["env_step"] / max(some[-1]["wall_time"], 0.1) for some in lines if some)
        self._rates[point.overrides] = rate
        seconds, remark = compilation_from_messages(read_messages(directory))
        self._compilations[point.overrides] = Compilation(seconds, watch.peak_bytes / 1e6, remark)
        return self._compilations[point.overrides]

    def measure(self, point: Point) -> PointMeasurement:
        """One run of about ``seconds`` in the steady state, or a whole sweep.

        Raises:
            MeasurementError: it failed, hung, took the machine's memory, or was too short.
        """
        if point.swept:
            return self._measure_sweep(point)
        steps = int(self._rates[point.overrides] * self._seconds * NUM_METRICS_LINES / (NUM_METRICS_LINES - 2))
        directory, watch, seconds = self._run(point, steps, STARTUP_TIMEOUT + 10 * self._seconds)
        lines = metrics_by_seed(directory)
        stretches = [measured_span(some) for some in lines]
        rates = [rate_of(*one) for one in stretches]
        self._rates[point.overrides] = fmean(rates)
        # Its last line is the last thing that the first seed writes of its training, so it tells when its clock began.
        first = next(iter(sorted(directory.glob("seed=*"))), directory) / "metrics.jsonl"
        zero = first.stat().st_mtime - lines[0][-1]["wall_time"]
        start = max(first["wall_time"] for first, _ in stretches)
        end = min(last["wall_time"] for _, last in stretches)
        spent = watch.cpu_seconds_between(zero + start, zero + end) if end > start else None
        cpu = None if spent is None else 1e6 * spent / (sum(rates) * (end - start))
        return PointMeasurement(sum(rates), watch.peak_bytes / 1e6, cpu, seconds)

    def _run(self, point: Point, steps: int, timeout: float) -> tuple[Path, ProcessTreeMonitor, float]:
        part = max(steps, MIN_ROUNDS * point.round_steps) // NUM_METRICS_LINES
        budget = (f"max_env_steps={NUM_METRICS_LINES * part}", f"metrics.every_env_steps={part}")
        directory = self._unused_path("run")
        return directory, *self._run_command([*point.overrides, *budget, f"hydra.run.dir='{directory}'"], timeout)

    def _measure_sweep(self, point: Point) -> PointMeasurement:
        directory = self._unused_path("sweep")
        watch, seconds = self._run_command(
            [*point.overrides, f"hydra.sweep.dir='{directory}'", "-m"], STARTUP_TIMEOUT * SWEPT_RUNS
        )
        lived = sum(some[-1]["env_step"] for run in directory.glob("*/metrics.jsonl") for some in metrics_by_seed(run.parent))
        if lived != SWEPT_RUNS * SWEPT_STEPS:
            raise MeasurementError(f"the sweep took {lived:,} steps and not {SWEPT_RUNS * SWEPT_STEPS:,}")
        return PointMeasurement(lived / seconds, watch.peak_bytes / 1e6, None, seconds)

    def _run_command(self, overrides: Sequence[str], timeout: float) -> tuple[ProcessTreeMonitor, float]:
        watch = ProcessTreeMonitor()
        arguments = [sys.executable, "-m", "a3c_exp", *BASE_OVERRIDES, *overrides]
        with run_command(arguments, self._unused_path("output"), dict(self._environment)) as job:
            seconds = job.wait(timeout, POLL_INTERVAL, watch)
        return watch, seconds

    def _unused_path(self, name: str) -> Path:
        return self._folder / f"{name}_{next(self._path_counter)}"


def measured_span(lines: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
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


def read_messages(directory: Path) -> str:
    """All messages of a run, or of the first seed of one that trained several."""
    places = sorted(directory.glob("seed=*")) or [directory]
    try:
        return (places[0] / "messages.log").read_text()
    except OSError as error:
        raise MeasurementError(f"the run directory has no readable messages.log: {error.strerror}") from error


def compilation_from_messages(messages: str) -> tuple[float | None, str | None]:
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
    if not times and not re.search(r"compiled (before|by another process)", messages):
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
        spent[pid] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
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
