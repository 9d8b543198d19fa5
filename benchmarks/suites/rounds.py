"""Where the time of a round goes in tensor environments: calls of compiled functions, and the Python between them.

python -m benchmarks.suites.rounds                every part, once

A round is one window of every worker. Everything runs in this process, so pushes never overlap. The timing itself, half a
microsecond per call, is in "between the calls".
"""

import time
from collections.abc import Callable
from functools import partial

from a3c_exp.system.torch_settings import single_threaded
from benchmarks.harness.interleaved import Variant
from benchmarks.harness.profile_parts import BreakdownVariants, PartTimer
from benchmarks.harness.training_process import SynchronousProcess, WorkerProcess
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


def hogwild_training(workers: int, processes: int) -> WorkerProcess:
    """One of the processes of Pendulum's workers."""
    return WorkerProcess(["env=pendulum", f"workers={workers}", *FUSED_ROUNDS], processes)


def synchronous_training() -> SynchronousProcess:
    """CartPole's six workers, as ``cartpole`` measures them."""
    return SynchronousProcess([*CARTPOLE, *FUSED_ROUNDS])


MakeTraining = Callable[[], WorkerProcess | SynchronousProcess]


class RoundBreakdown:
    """A training whose calls are timed.

    Args:
        make: builds the training, which is compiled and warmed up at once.
    """

    def __init__(self, make: MakeTraining) -> None:
        self.training = make()
        self.training.train(_WARM_UP)
        self.timer = timer = PartTimer()
        rollout, updates = self.training.group._fused_rollout, self.training.sequential_updates
        rollout._step_calls = [timer.timed(call, "acting") for call in rollout._step_calls]
        rollout._learn_call = timer.timed(rollout._learn_call, "learning")
        timer.time_method(updates, "_run", "pushing")

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds per round of each part, measured for ``seconds``."""
        self.timer.clear()
        start = time.perf_counter()
        self.training.train(seconds)
        total, timed = time.perf_counter() - start, self.timer.seconds
        seconds_of = {**timed, "between": total - sum(timed.values())}
        return {part: 1e6 * seconds_of[part] / self.timer.calls["learning"] for part in PARTS}


def breakdown_settings() -> dict[str, tuple[MakeTraining, Network]]:
    """The measured trainings, each with its network."""
    six = Network(PENDULUM_NETWORK.layers, 6, PENDULUM_NETWORK.n_step, per_worker_weights=True)
    return {
        "Pendulum, hogwild, 6 workers of 12, 60 steps": (partial(hogwild_training, 12, 2), six),
        "Pendulum, hogwild, 12 workers, 120 steps": (partial(hogwild_training, 12, 1), PENDULUM_NETWORK),
        "CartPole, synchronous, 6 workers, 30 steps": (synchronous_training, CARTPOLE_NETWORK),
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
