"""Where the time of a round goes in tensor environments: calls of compiled functions, and the Python between them.

python -m benchmarks.suites.rounds                every part, once

A round is one window of every worker. Everything runs in this process, so pushes never overlap. The timing itself, half a
microsecond per call, is in "between the calls".
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import Variant
from benchmarks.harness.profile_parts import UNLIMITED_BUDGET, BreakdownVariants, HogwildProcess, PartTimer
from benchmarks.harness.training_runs import CARTPOLE, TrainingRuns
from benchmarks.suites.cartpole import CARTPOLE_NETWORK
from benchmarks.suites.roofline import Network, arithmetic_limit
from benchmarks.suites.throughput import FUSED_ROUNDS, PENDULUM_NETWORK

TITLE = "rounds: microseconds of a core per round in tensor environments, compiled rounds, one process"
UNIT = "µs"
BASELINE = None
PARTS = {
    "acting": "acting and the environments, a call for each step",
    "learning": "learning, one call",
    "pushing": "pushing and pulling, one call",
    "between": "between the calls: counters, noise, budget, coefficients",
}
_WARM_UP = 2.0  # seconds
_ROUNDS_PER_CLOCK_CHECK = 50  # rounds between two readings of the clock
_UNLIMITED_STEPS = 2**62


class HogwildTraining:
    """One of two processes of Pendulum's twelve workers."""

    def __init__(self, workers: int, processes: int) -> None:
        self._training = HogwildProcess(["env=pendulum", f"workers={workers}", *FUSED_ROUNDS], processes)
        self.steps = self._training.steps

    def train(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._training.run_rounds(_ROUNDS_PER_CLOCK_CHECK)

    def install_timers(self, timer: PartTimer) -> None:
        exchange: Any = self._training.loop.exchange
        _install_timers(self._training.loop.group, exchange._sequential_updates, timer)


class SynchronousTraining:
    """CartPole's six workers, as ``cartpole`` measures them."""

    def __init__(self) -> None:
        (job,) = compose_jobs([*CARTPOLE, *FUSED_ROUNDS, *UNLIMITED_BUDGET], False)
        assembly = build_run(job.config)
        self._parallelism: Any = assembly.parallelism
        self._parallelism.start(assembly.setup, assembly.initial_states)
        self.steps = assembly.setup.workers * assembly.setup.learner.n_step

    def train(self, seconds: float) -> None:
        self._parallelism.advance(seconds, [_UNLIMITED_STEPS])

    def install_timers(self, timer: PartTimer) -> None:
        _install_timers(self._parallelism.worker_group, self._parallelism.rule.sequential_updates, timer)


def _install_timers(worker_group: Any, updates: Any, timer: PartTimer) -> None:
    rollout: Any = worker_group._fused_rollout
    rollout._step_calls = [timer.timed(call, "acting") for call in rollout._step_calls]
    rollout._learn_call = timer.timed(rollout._learn_call, "learning")
    updates._run = timer.timed(updates._run, "pushing")


class RoundBreakdown:
    """A training whose calls are timed.

    Args:
        make: builds the training, which is compiled and warmed up at once.
    """

    def __init__(self, make: Callable[[], HogwildTraining | SynchronousTraining]) -> None:
        self._training = make()
        self._training.train(_WARM_UP)
        self._timer = PartTimer()
        self._training.install_timers(self._timer)

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds per round of each part, measured for ``seconds``."""
        self._timer.clear()
        start = time.perf_counter()
        self._training.train(seconds)
        total, timed = time.perf_counter() - start, self._timer.seconds
        seconds_of = {**timed, "between": total - sum(timed.values())}
        return {part: 1e6 * seconds_of[part] / self._timer.calls["learning"] for part in PARTS}


def breakdown_settings() -> dict[str, tuple[Callable[[], HogwildTraining | SynchronousTraining], Network]]:
    """The measured trainings, each with its network."""
    six = Network(PENDULUM_NETWORK.layers, 6, PENDULUM_NETWORK.n_step, per_worker_weights=True)
    return {
        "Pendulum, hogwild, 6 workers of 12, 60 steps": (lambda: HogwildTraining(12, 2), six),
        "Pendulum, hogwild, 12 workers, 120 steps": (lambda: HogwildTraining(12, 1), PENDULUM_NETWORK),
        "CartPole, synchronous, 6 workers, 30 steps": (SynchronousTraining, CARTPOLE_NETWORK),
    }


def variants(runs: TrainingRuns) -> list[Variant]:
    result: list[Variant] = []
    for name, (make, network) in breakdown_settings().items():
        result += BreakdownVariants(partial(RoundBreakdown, make), runs.seconds / 2).variants(name, PARTS)
        result.append(Variant(f"{name}: the network's products alone", partial(_matrix_products, network, runs.seconds / 2)))
    return result


def _matrix_products(network: Network, seconds: float) -> float:
    """Microseconds per round of the matrix products of acting and learning."""
    return 1e6 * network.workers * network.n_step / arithmetic_limit(network, seconds)


def main() -> None:
    for name, (make, network) in breakdown_settings().items():
        with single_threaded():
            parts = RoundBreakdown(make).measure(5.0)
        print(
            f"{name}: {sum(parts.values()):.0f} µs a round, the network's products alone {_matrix_products(network, 2.0):.0f}"
        )
        for part, microseconds in parts.items():
            print(f"  {microseconds:6.1f}  {PARTS[part]}")


if __name__ == "__main__":
    main()
