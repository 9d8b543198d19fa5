"""Where the time of one training process goes: parts are timed where they run, each without the parts that it calls."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from a3c_exp.config.compose import compose_jobs
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.hogwild.worker import make_loop
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import WorkerAssignment
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import Variant

UNLIMITED_BUDGET = ("max_episodes=null", "max_updates=null", "max_env_steps=1000000000")


class PartTimer:
    """Sums the time of functions, each without the timed functions that it calls: ``seconds`` and ``calls`` by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._nested_seconds: list[float] = []

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The function, timed as this part."""

        @wraps(function, assigned=())
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            self._nested_seconds.append(0.0)
            result = function(*args)
            duration = time.perf_counter() - start
            self.seconds[part] += duration - self._nested_seconds.pop()
            self.calls[part] += 1
            if self._nested_seconds:
                self._nested_seconds[-1] += duration
            return result

        return call

    def time_method(self, owner: Any, name: str, part: str) -> None:
        """Time a method of this object from now on."""
        setattr(owner, name, self.timed(getattr(owner, name), part))

    def clear(self) -> None:
        self.seconds.clear()
        self.calls.clear()


class HogwildProcess:
    """One of hogwild's worker processes, run in this process: no other process trains, so its pushes never overlap.

    Args:
        overrides: overrides of the configuration.
        processes: number of processes that share the workers; this one has the first one's.
        setup_changes: fields of the training setup to replace.
    """

    def __init__(
        self, overrides: Sequence[str], processes: int, setup_changes: Callable[[TrainingSetup], dict[str, Any]] | None = None
    ) -> None:
        (job,) = compose_jobs([*overrides, *UNLIMITED_BUDGET], False)
        assembly = build_run(job.config)
        state = assembly.initial_states[0]
        task = assembly.setup if setup_changes is None else replace(assembly.setup, **setup_changes(assembly.setup))
        self.counters = SharedCounters.create(processes, state.rounds, state.episodes_begun, task.budget)
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_benchmarks_")
        block = SharedBuffer.create(state.weights, state.optimizer_state, Path(self._folder.name) / "lock", False, 5.0)
        self._receiver, pipe = Pipe(duplex=False)
        here = range(task.workers // processes)
        parallelism = assembly.parallelism
        assert isinstance(parallelism, Hogwild), parallelism
        assignment = WorkerAssignment(0, here, 5.0, parallelism.sharing)
        self.loop = make_loop(task, assignment, block, self.counters, pipe)
        self.steps = len(here) * task.learner.n_step  # of a round
        self.loop.exchange.pull_all()

    def run_rounds(self, rounds: int) -> int:
        """Run at least this many rounds as ``WorkerLoop.run`` does; returns their number."""
        loop, before = self.loop, self.counters.env_steps()
        while (done := (self.counters.env_steps() - before) // self.steps) < rounds:
            loop.control.poll_commands()
            loop.run_round()
            while self._receiver.poll():
                self._receiver.recv()
        return int(done)


class BreakdownVariants:
    """Variants for the total and its parts. Measuring the total, which comes first in every repeat, measures all parts.

    Args:
        make_breakdown: its result's ``measure(seconds)`` returns microseconds by part; called when first needed.
        seconds: length of a measurement.
    """

    def __init__(self, make_breakdown: Callable[[], Any], seconds: float) -> None:
        self._make_breakdown, self._seconds = make_breakdown, seconds
        self._breakdown: Any = None
        self._microseconds: dict[str, float] = {}

    def microseconds_of(self, name: str) -> float:
        return self._microseconds[name]

    def measure_total(self) -> float:
        with single_threaded():
            self._breakdown = self._breakdown or self._make_breakdown()
            self._microseconds = self._breakdown.measure(self._seconds)
        return sum(self._microseconds.values())

    def variants(self, name: str, parts: dict[str, str]) -> list[Variant]:
        """The total, then each of ``parts``, a name in the table by key."""

        def part(key: str) -> Variant:
            return Variant(f"{name}: {parts[key]}", lambda: self.microseconds_of(key))

        return [Variant(f"{name}, all of it", self.measure_total), *(part(key) for key in parts)]
