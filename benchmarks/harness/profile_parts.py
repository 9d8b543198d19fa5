"""Where time goes within one process that trains: parts are timed where they run, each without what it calls of the others."""

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
from a3c_exp.parallelism.hogwild.worker import HogwildWorkers
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import WorkerAssignment
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import Variant

ENDLESS = ("max_episodes=null", "max_updates=null", "max_env_steps=1000000000")


class Stopwatch:
    """Adds up what functions take, each without the timed ones within it. Seconds by part in ``spent``; calls in ``calls``."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._within: list[float] = []

    def timed(self, inner: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The same function, timed as this part."""

        @wraps(inner, assigned=())
        def call(*args: Any) -> Any:
            began = time.perf_counter()
            self._within.append(0.0)
            result = inner(*args)
            took = time.perf_counter() - began
            self.spent[part] += took - self._within.pop()
            self.calls[part] += 1
            if self._within:
                self._within[-1] += took
            return result

        return call

    def put_on(self, owner: Any, name: str, part: str) -> None:
        """Time a method of this object from now on."""
        setattr(owner, name, self.timed(getattr(owner, name), part))

    def clear(self) -> None:
        self.spent.clear()
        self.calls.clear()


class HogwildProcess:
    """One of hogwild's processes, in this one: nobody else trains beside it, and its pushes meet no one.

    Args:
        overrides: of the configuration.
        processes: among which its workers are dealt; it has the first one's.
        change: what is to be otherwise in the task.
    """

    def __init__(
        self, overrides: Sequence[str], processes: int, change: Callable[[TrainingSetup], dict[str, Any]] | None = None
    ) -> None:
        (job,) = compose_jobs([*overrides, *ENDLESS], False)
        assembly = build_run(job.config)
        state = assembly.initial_states[0]
        task = assembly.setup if change is None else replace(assembly.setup, **change(assembly.setup))
        self.ledger = SharedCounters.create(processes, state.rounds, state.episodes_begun, task.budget)
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_benchmarks_")
        block = SharedBuffer.create(state.weights, state.optimizer_state, Path(self._folder.name) / "lock", False, 5.0)
        self._heard, pipe = Pipe(duplex=False)
        here = range(task.workers // processes)
        self.process = HogwildWorkers(task, WorkerAssignment(0, here, 5.0), block, self.ledger, pipe)
        self.steps = len(here) * task.learner.n_step  # of a round
        self.process._pull_initial_weights()

    def live(self, rounds: int) -> int:
        """At least so many rounds, as ``WorkerProcess.run`` does them; how many there were."""
        process, before = self.process, self.ledger.env_steps()
        while (done := (self.ledger.env_steps() - before) // self.steps) < rounds:
            process._poll_commands()
            process._between_rounds()
            if not process._run_burst():
                process._round(process._reserve())
            while self._heard.poll():
                self._heard.recv()
        return int(done)


class Taken:
    """Parts that are all measured when the whole is asked for; that comes first in every repeat.

    Args:
        make: something whose ``measure(seconds)`` gives microseconds by part; made when first needed.
        seconds: of a measurement.
    """

    def __init__(self, make: Callable[[], Any], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._apart: Any = None
        self._found: dict[str, float] = {}

    def part(self, name: str) -> float:
        return self._found[name]

    def whole(self) -> float:
        with single_threaded():
            self._apart = self._apart or self._make()
            self._found = self._apart.measure(self._seconds)
        return sum(self._found.values())

    def variants(self, name: str, parts: dict[str, str]) -> list[Variant]:
        """The whole, then each of ``parts``: what it is called in the table, by key."""

        def part(key: str) -> Variant:
            return Variant(f"{name}: {parts[key]}", lambda: self.part(key))

        return [Variant(f"{name}, all of it", self.whole), *(part(key) for key in parts)]
