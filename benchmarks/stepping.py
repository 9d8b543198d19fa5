"""Where each microsecond of a step goes in plain gymnasium environments: one process of hogwild, taken apart while it trains.

python -m benchmarks.stepping              every part, once: a quick look

Parts are timed where they run, each without what it calls of the others, so that together they are the whole. The process is
this one: nobody else trains beside it, and its pushes meet no one.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from a3c_exp.assembly import assemble
from a3c_exp.compose import jobs
from a3c_exp.core.arithmetic import on_one_core
from a3c_exp.envs.gymnasium import GymnasiumEnvironments
from a3c_exp.parallelism.hogwild_worker import HogwildWorkers
from a3c_exp.parallelism.ledger import Ledger
from a3c_exp.parallelism.shared_weights import WeightBlock
from a3c_exp.parallelism.worker_process import Placement
from benchmarks.repeats import Variant
from benchmarks.runs import Runs
from benchmarks.speed import textbook

WORKERS, PROCESSES = 12, 2
HERE = WORKERS // PROCESSES
TITLE = f"stepping: microseconds of a core an environment step, gymnasium's Pendulum, one process of {HERE} workers"
UNIT = "µs"
BASELINE = "textbook_a3c, all of it"
PARTS = {
    "environment": "the environment itself",
    "around it": "our loop around it: actions in, observations and rewards out",
    "network": "acting: the network, the policy's sample, what was seen and done",
    "window": "the window's books: lengths, returns, limits, rewards",
    "learning": "learning: returns, loss, gradient, norms",
    "pushing": "pushing and pulling",
    "rest": "the rest: noise, budget, tally, commands",
}
_ROUNDS_WARM_UP = 50


class Apart:
    """One process of workers whose parts are timed.

    Args:
        overrides: of the configuration.
    """

    def __init__(self, overrides: list[str]) -> None:
        endless = ["max_episodes=null", "max_env_steps=1000000000"]
        (job,) = jobs(["env=pendulum", f"workers={WORKERS}", *endless, *overrides], False)
        assembly = assemble(job.config)
        state = assembly.initial_states[0]
        # The same environments, within reach.
        task = replace(assembly.task, make_envs=partial(GymnasiumEnvironments, "Pendulum-v1"))
        self._ledger = Ledger.create(PROCESSES, state.rounds, state.episodes_begun, task.budget)
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_benchmarks_")
        block = WeightBlock.create(state.weights, state.optimizer_state, Path(self._folder.name) / "lock", False, 5.0)
        self._heard, pipe = Pipe(duplex=False)
        placement = Placement(0, range(HERE), 5.0)
        self._process = HogwildWorkers(task, placement, block, self._ledger, pipe)
        self._steps = HERE * task.learner.n_step
        self._spent: dict[str, float] = defaultdict(float)
        self._within: list[float] = []
        self._process._begin()
        self._live(_ROUNDS_WARM_UP)  # which also makes the machine code
        self._take_apart()

    def _take_apart(self) -> None:
        workers: Any = self._process._workers
        rollout: Any = workers._rollout
        for env in workers.envs.envs:
            self._time(env.unwrapped, "step", "environment")
        self._time(workers.envs, "step", "around it")
        for name in ("begin", "act", "value", "write_down"):
            self._time(rollout._acting, name, "network")
        self._time(rollout, "run", "window")
        self._time(workers, "_stacked_gradient", "learning")
        self._time(self._process, "_exchange", "pushing")

    def _time(self, owner: Any, name: str, part: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any) -> Any:
            began = time.perf_counter()
            self._within.append(0.0)
            result = inner(*args)
            took = time.perf_counter() - began
            self._spent[part] += took - self._within.pop()
            if self._within:
                self._within[-1] += took
            return result

        setattr(owner, name, timed)

    def _live(self, rounds: int) -> None:
        process = self._process
        for _ in range(rounds):
            process._attend()
            process._between_rounds()
            process._round(process._reserve())
            while self._heard.poll():
                self._heard.recv()

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds a step of each part, over so many seconds."""
        self._spent.clear()
        rounds, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self._live(20)
            rounds += 20
        whole = time.perf_counter() - began
        spent = {**self._spent, "rest": whole - sum(self._spent.values())}
        return {part: 1e6 * spent[part] / (rounds * self._steps) for part in PARTS}


class Taken:
    """A setting's parts, all measured when the whole is asked for; that comes first in every repeat."""

    def __init__(self, overrides: list[str], seconds: float) -> None:
        self._overrides, self._seconds = overrides, seconds
        self._apart: Apart | None = None
        self._found: dict[str, float] = {}

    def part(self, name: str) -> float:
        return self._found[name]

    def whole(self) -> float:
        with on_one_core():
            self._apart = self._apart or Apart(self._overrides)
            self._found = self._apart.measure(self._seconds)
        return sum(self._found.values())


def variants(runs: Runs) -> list[Variant]:
    def of(name: str, setting: str) -> list[Variant]:
        taken = Taken([setting], runs.seconds / 4)

        def part(key: str) -> Variant:
            return Variant(f"{name}: {PARTS[key]}", lambda: taken.part(key))

        return [Variant(f"{name}, all of it", taken.whole), *(part(key) for key in PARTS)]

    return [
        # Two cores are busy, and the steps of both are counted.
        Variant(BASELINE, lambda: 1e6 * PROCESSES / textbook(runs)),
        *of("a3c_exp compile=false", "compile=false"),
        *of("a3c_exp compile=true", "compile=true"),
    ]


def main() -> None:
    for setting in ("compile=false", "compile=true"):
        with on_one_core():
            found = Apart([setting]).measure(5.0)
        print(f"{setting}: {sum(found.values()):.1f} µs a step")
        for part, microseconds in found.items():
            print(f"  {microseconds:6.1f}  {PARTS[part]}")


if __name__ == "__main__":
    main()
