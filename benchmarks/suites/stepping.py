"""Where the time of a step goes with gymnasium's environments: one process of hogwild, timed while it trains.

python -m benchmarks.suites.stepping              every part, once
"""

import time
from functools import partial
from typing import Any

from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.system.torch_settings import single_threaded
from benchmarks.harness.interleaved import Variant
from benchmarks.harness.profile_parts import BreakdownVariants, PartTimer
from benchmarks.harness.training_process import WorkerProcess
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites.speed import textbook_steps_per_second

WORKERS, PROCESSES = 12, 2
WORKERS_PER_PROCESS = WORKERS // PROCESSES
TITLE = (
    f"stepping: microseconds of a core per environment step, gymnasium's Pendulum, one process of {WORKERS_PER_PROCESS} workers"
)
UNIT = "µs"
BASELINE = "textbook_a3c, all of it"
PARTS = {
    "environment": "the environment itself",
    "around it": "the loop around it: actions in, observations and rewards out",
    "network": "acting: the network, sampling, recording",
    "window": "the rollout: lengths, returns, limits, rewards",
    "learning": "learning: returns, loss, gradient, norms",
    "pushing": "pushing and pulling",
    "rest": "the rest: noise, budget, statistics, commands",
}
_ROUNDS_WARM_UP = 50


class StepBreakdown:
    """One process of workers whose parts are timed.

    Args:
        overrides: overrides of the configuration.
    """

    def __init__(self, overrides: list[str]) -> None:
        # gymnasium's environments in a form whose steps can be timed.
        reachable = {"make_envs": partial(GymnasiumEnvs, "Pendulum-v1")}
        self.training = WorkerProcess(["env=pendulum", f"workers={WORKERS}", *overrides], PROCESSES, lambda _: reachable)
        self.training.run_rounds(_ROUNDS_WARM_UP)  # also compiles
        self._timer = PartTimer()
        self._install_timers()

    def _install_timers(self) -> None:
        timer, loop = self._timer, self.training.loop
        workers: Any = loop.group
        rollout: Any = workers._rollout
        for env in workers.envs.envs:
            timer.time_method(env.unwrapped, "step", "environment")
        timer.time_method(workers.envs, "step", "around it")
        for name in ("begin", "act", "value", "record"):
            timer.time_method(rollout._policy, name, "network")
        timer.time_method(rollout, "run", "window")
        timer.time_method(workers, "_vectorized_gradient", "learning")
        for name in ("push_and_pull_all", "push_and_pull"):  # the latter calls the former where it can
            timer.time_method(loop.exchange, name, "pushing")

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds per step of each part, measured for ``seconds``."""
        self._timer.clear()
        rounds, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            rounds += self.training.run_rounds(20)
        total, timed = time.perf_counter() - start, self._timer.seconds
        seconds_of = {**timed, "rest": total - sum(timed.values())}
        return {part: 1e6 * seconds_of[part] / (rounds * self.training.steps) for part in PARTS}


def variants(runs: TrainingRuns) -> list[Variant]:
    def of(setting: str) -> list[Variant]:
        return BreakdownVariants(lambda: StepBreakdown([setting]), runs.seconds / 4).variants(f"a3c_exp {setting}", PARTS)

    return [
        # The textbook keeps two cores busy.
        Variant(BASELINE, lambda: 1e6 * PROCESSES / textbook_steps_per_second(runs)),
        *of("compile=false"),
        *of("compile=true"),
    ]


def main() -> None:
    for setting in ("compile=false", "compile=true"):
        with single_threaded():
            parts = StepBreakdown([setting]).measure(5.0)
        print(f"{setting}: {sum(parts.values()):.1f} µs a step")
        for part, microseconds in parts.items():
            print(f"  {microseconds:6.1f}  {PARTS[part]}")


if __name__ == "__main__":
    main()
