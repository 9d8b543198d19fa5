"""One measured point: speed in the steady state, processor time, and memory of its process tree."""

import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.process_tree import cpu_seconds, pss_bytes, run_command
from benchmarks.harness.training_runs import OFFLINE_ENVIRONMENT, STARTUP_TIMEOUT, metrics_by_seed
from benchmarks.scaling.points import BASE_OVERRIDES, SWEPT_RUNS, SWEPT_STEPS, Point
from benchmarks.suites.memory import POLL_INTERVAL

COMPILE_TIMEOUT = 600.0  # seconds that compiling a point may take
PROBE_STEPS = 60_000  # of all seeds together
NUM_METRICS_LINES = 6
"""Lines of metrics per run: the span from the first to the last but one is measured."""
MIN_ROUNDS = 2 * NUM_METRICS_LINES
MIN_FREE_MEMORY_SHARE = 0.04  # of the machine's memory, so that other programs are not killed


@dataclass(frozen=True)
class PointMeasurement:
    """One run.

    Attributes:
        steps_per_second: of all seeds; of a sweep: from the command to its end.
        memory_mb: the highest PSS of the process tree, start and end included, 10^6 bytes.
        cpu_microseconds: processor time of the tree per step; ``None`` for a sweep, whose processes start and end.
        seconds: from the command to its end.
    """

    steps_per_second: float
    memory_mb: float
    cpu_microseconds: float | None
    seconds: float


@dataclass(frozen=True)
class Compilation:
    """How a point's code was compiled.

    Attributes:
        seconds: compile time; ``None`` if the code was in the cache.
        peak_mb: peak memory while compiling, the compiler's processes included.
        remark: what is not compiled and why; ``None`` if everything is.
    """

    seconds: float | None
    peak_mb: float
    remark: str | None


class ProcessTreeMonitor:
    """Samples the memory and the processor time of a process tree."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._cpu_seconds: dict[int, float] = {}
        self._samples: list[tuple[float, float]] = []
        self._total_memory = psutil.virtual_memory().total

    def __call__(self, processes: list[psutil.Process]) -> None:
        used = pss_bytes(processes)
        self.peak_bytes = max(self.peak_bytes, used)
        self._cpu_seconds |= cpu_seconds(processes)
        self._samples.append((time.time(), sum(self._cpu_seconds.values())))
        available = psutil.virtual_memory().available
        if available < MIN_FREE_MEMORY_SHARE * self._total_memory:
            raise MeasurementError(f"stopped at {used / 1e6:,.0f} MB: only {available / 1e6:,.0f} MB of memory were left")

    def cpu_seconds_between(self, start: float, end: float) -> float | None:
        """Processor time between two moments of the wall clock, interpolated linearly between samples."""
        if len(self._samples) < 2 or not self._samples[0][0] <= start < end <= self._samples[-1][0]:
            return None
        return self._cpu_seconds_at(end) - self._cpu_seconds_at(start)

    def _cpu_seconds_at(self, moment: float) -> float:
        for (before, seconds_before), (after, seconds_after) in pairwise(self._samples):
            if before <= moment <= after:
                return seconds_before + (seconds_after - seconds_before) * (moment - before) / max(after - before, 1e-9)
        raise AssertionError("the moment lies between the first sample and the last")


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
        """A short first run that compiles and caches the code, and whose speed sizes the next run."""
        if point.swept:
            # One run of the sweep compiles the code for all of them.
            overrides = [
                override
                for override in point.overrides
                if not override.startswith(("seed=", "max_env_steps=", "hydra/launcher="))
            ]
            point = Point(point.label, tuple(overrides))
        if point.overrides in self._compilations:
            return self._compilations[point.overrides]
        directory, monitor, _ = self._run(point, PROBE_STEPS // point.seeds, COMPILE_TIMEOUT)
        lines = metrics_by_seed(directory)
        try:
            rate = fmean(rate_of(*measured_span(of_seed)) for of_seed in lines)
        except MeasurementError:
            rate = fmean(of_seed[-1]["env_step"] / max(of_seed[-1]["wall_time"], 0.1) for of_seed in lines if of_seed)
        self._rates[point.overrides] = rate
        seconds, remark = compilation_from_messages(read_messages(directory))
        self._compilations[point.overrides] = Compilation(seconds, monitor.peak_bytes / 1e6, remark)
        return self._compilations[point.overrides]

    def measure(self, point: Point) -> PointMeasurement:
        """One run of about ``seconds`` in the steady state, or a whole sweep.

        Raises:
            MeasurementError: the run failed, hung, used up the machine's memory, or was too short.
        """
        if point.swept:
            return self._measure_sweep(point)
        steps = int(self._rates[point.overrides] * self._seconds * NUM_METRICS_LINES / (NUM_METRICS_LINES - 2))
        directory, monitor, seconds = self._run(point, steps, STARTUP_TIMEOUT + 10 * self._seconds)
        lines = metrics_by_seed(directory)
        spans = [measured_span(of_seed) for of_seed in lines]
        rates = [rate_of(*span) for span in spans]
        self._rates[point.overrides] = fmean(rates)
        # The first seed writes its last line at the end of its training, so the file's time gives the start of its clock.
        file = next(iter(sorted(directory.glob("seed=*"))), directory) / "metrics.jsonl"
        zero = file.stat().st_mtime - lines[0][-1]["wall_time"]
        start = max(first["wall_time"] for first, _ in spans)
        end = min(last["wall_time"] for _, last in spans)
        used = monitor.cpu_seconds_between(zero + start, zero + end) if end > start else None
        cpu = None if used is None else 1e6 * used / (sum(rates) * (end - start))
        return PointMeasurement(sum(rates), monitor.peak_bytes / 1e6, cpu, seconds)

    def _run(self, point: Point, steps: int, timeout: float) -> tuple[Path, ProcessTreeMonitor, float]:
        part = max(steps, MIN_ROUNDS * point.round_steps) // NUM_METRICS_LINES
        budget = (f"max_env_steps={NUM_METRICS_LINES * part}", f"metrics.every_env_steps={part}")
        directory = self._unused_path("run")
        return directory, *self._run_command([*point.overrides, *budget, f"hydra.run.dir='{directory}'"], timeout)

    def _measure_sweep(self, point: Point) -> PointMeasurement:
        directory = self._unused_path("sweep")
        monitor, seconds = self._run_command(
            [*point.overrides, f"hydra.sweep.dir='{directory}'", "-m"], STARTUP_TIMEOUT * SWEPT_RUNS
        )
        runs = directory.glob("*/metrics.jsonl")
        steps = sum(of_seed[-1]["env_step"] for run in runs for of_seed in metrics_by_seed(run.parent))
        if steps != SWEPT_RUNS * SWEPT_STEPS:
            raise MeasurementError(f"the sweep took {steps:,} steps and not {SWEPT_RUNS * SWEPT_STEPS:,}")
        return PointMeasurement(steps / seconds, monitor.peak_bytes / 1e6, None, seconds)

    def _run_command(self, overrides: Sequence[str], timeout: float) -> tuple[ProcessTreeMonitor, float]:
        monitor = ProcessTreeMonitor()
        arguments = [sys.executable, "-m", "a3c_exp", *BASE_OVERRIDES, *overrides]
        with run_command(arguments, self._unused_path("output"), dict(self._environment)) as command:
            seconds = command.wait(timeout, POLL_INTERVAL, monitor)
        return monitor, seconds

    def _unused_path(self, name: str) -> Path:
        return self._folder / f"{name}_{next(self._path_counter)}"


def measured_span(lines: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first line of metrics and the last but one, between which nothing started or ended.

    The last line is written when all seeds have finished, so it would include waiting for the others.
    """
    if len(lines) < 3:
        raise MeasurementError(f"metrics.jsonl has {len(lines)} lines; 3 are needed")
    first, last = lines[0], lines[-2]
    if last["wall_time"] <= first["wall_time"] or last["env_step"] <= first["env_step"]:
        raise MeasurementError("metrics.jsonl shows no progress between its first line and its last but one")
    return first, last


def rate_of(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """Environment steps per second between two lines of metrics."""
    return float((last["env_step"] - first["env_step"]) / (last["wall_time"] - first["wall_time"]))


def read_messages(directory: Path) -> str:
    """All messages of a run, or of the first seed of one that trained several."""
    directories = sorted(directory.glob("seed=*")) or [directory]
    try:
        return (directories[0] / "messages.log").read_text()
    except OSError as error:
        raise MeasurementError(f"the run directory has no readable messages.log: {error.strerror}") from error


def compilation_from_messages(messages: str) -> tuple[float | None, str | None]:
    """What a run's messages say about compiling: seconds that it took, and what was not compiled.

    >>> compilation_from_messages("compiled in 41 s; kept in /tmp")
    (41.0, None)
    >>> compilation_from_messages("compiled before: 4 functions found in /tmp")
    (None, None)
    >>> compilation_from_messages("not compiled, so this run goes on uncompiled and slower: no compiler")
    (None, 'nothing is compiled: no compiler')
    """
    if match := re.search(r"not compiled, so this run goes on uncompiled and slower: (.*)", messages):
        return None, f"nothing is compiled: {match[1]}"
    if match := re.search(r"(\d+) functions compiled, the others not: (.*)", messages):
        return None, f"only {match[1]} functions are compiled: {match[2]}"
    times = [float(seconds) for seconds in re.findall(r"compiled in (\d+) s", messages)]
    if not times and not re.search(r"compiled (before|by another process)", messages):
        return None, "the run's messages say nothing about compiling"
    return (sum(times) if times else None), None
