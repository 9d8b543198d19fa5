"""Where each microsecond of a round goes in tensor environments: calls of machine code, and the Python between them.

python -m benchmarks.suites.rounds                every part, once: a quick look

A round is one window of every worker. The process is this one: nobody else trains beside it, and its pushes meet no one.
What the timing itself takes, half a microsecond a call, is in "between the calls".
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import Variant
from benchmarks.harness.profile_parts import ENDLESS, HogwildProcess, Stopwatch, Taken
from benchmarks.harness.training_runs import CARTPOLE, Runs
from benchmarks.suites.cartpole import NOTEBOOK
from benchmarks.suites.roofline import Network, arithmetic_limit
from benchmarks.suites.throughput import REPORT, WHOLE

TITLE = "rounds: microseconds of a core a round in tensor environments, whole rounds of machine code, one process"
UNIT = "µs"
BASELINE = None
PARTS = {
    "acting": "acting and the environments, a call for each step",
    "learning": "learning, one call",
    "pushing": "pushing and pulling, one call",
    "between": "between the calls: books, noise, budget, coefficients",
}
_WARM_UP = 2.0  # seconds
_AT_A_TIME = 50  # rounds between two looks at the clock
_NO_BOUND = 2**62


class Hogwild:
    """One of two processes of Pendulum's twelve workers."""

    def __init__(self, workers: int, processes: int) -> None:
        self._training = HogwildProcess(["env=pendulum", f"workers={workers}", *WHOLE], processes)
        self.steps = self._training.steps

    def live(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._training.live(_AT_A_TIME)

    def take_apart(self, watch: Stopwatch) -> None:
        process: Any = self._training.process
        _take_apart(process._workers, process._series, watch)


class Synchronous:
    """CartPole's six workers, as ``cartpole`` measures them."""

    def __init__(self) -> None:
        (job,) = compose_jobs([*CARTPOLE, *WHOLE, *ENDLESS], False)
        assembly = build_run(job.config)
        self._parallelism: Any = assembly.parallelism
        self._parallelism.start(assembly.setup, assembly.initial_states)
        self.steps = assembly.setup.workers * assembly.setup.learner.n_step

    def live(self, seconds: float) -> None:
        self._parallelism.advance(seconds, [_NO_BOUND])

    def take_apart(self, watch: Stopwatch) -> None:
        _take_apart(self._parallelism.workers, self._parallelism._series, watch)


def _take_apart(workers: Any, series: Any, watch: Stopwatch) -> None:
    whole_rounds: Any = workers._fused
    whole_rounds._acting = [watch.timed(call, "acting") for call in whole_rounds._acting]
    whole_rounds._learning = watch.timed(whole_rounds._learning, "learning")
    series._run = watch.timed(series._run, "pushing")


class Apart:
    """A training whose calls are timed.

    Args:
        make: what trains; made machine code of and warmed up at once.
    """

    def __init__(self, make: Callable[[], Hogwild | Synchronous]) -> None:
        self._training = make()
        self._training.live(_WARM_UP)
        self._watch = Stopwatch()
        self._training.take_apart(self._watch)

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds a round of each part, over so many seconds."""
        self._watch.clear()
        began = time.perf_counter()
        self._training.live(seconds)
        whole, found = time.perf_counter() - began, self._watch.spent
        spent = {**found, "between": whole - sum(found.values())}
        return {part: 1e6 * spent[part] / self._watch.calls["learning"] for part in PARTS}


def settings() -> dict[str, tuple[Callable[[], Hogwild | Synchronous], Network]]:
    """What is taken apart, and the network whose products it cannot do without."""
    six = Network(REPORT.layers, 6, REPORT.n_step, own_weights=True)
    return {
        "Pendulum, hogwild, 6 workers of 12, 60 steps": (lambda: Hogwild(12, 2), six),
        "Pendulum, hogwild, 12 workers, 120 steps": (lambda: Hogwild(12, 1), REPORT),
        "CartPole, synchronous, 6 workers, 30 steps": (Synchronous, NOTEBOOK),
    }


def variants(runs: Runs) -> list[Variant]:
    found: list[Variant] = []
    for name, (make, network) in settings().items():
        found += Taken(partial(Apart, make), runs.seconds / 2).variants(name, PARTS)
        found.append(Variant(f"{name}: the network's products alone", partial(_products, network, runs.seconds / 2)))
    return found


def _products(network: Network, seconds: float) -> float:
    """Microseconds a round of the products of matrices that acting and learning cannot do without."""
    return 1e6 * network.workers * network.n_step / arithmetic_limit(network, seconds)


def main() -> None:
    for name, (make, network) in settings().items():
        with single_threaded():
            found = Apart(make).measure(5.0)
        print(f"{name}: {sum(found.values()):.0f} µs a round, the network's products alone {_products(network, 2.0):.0f}")
        for part, microseconds in found.items():
            print(f"  {microseconds:6.1f}  {PARTS[part]}")


if __name__ == "__main__":
    main()
