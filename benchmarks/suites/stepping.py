"""Where each microsecond of a step goes in plain gymnasium environments: one process of hogwild, taken apart while it trains.

python -m benchmarks.suites.stepping              every part, once: a quick look
"""

import time
from functools import partial
from typing import Any

from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.system.torch_settings import single_threaded
from benchmarks.harness.interleaved import Variant
from benchmarks.harness.profile_parts import BreakdownVariants, HogwildProcess, PartTimer
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites.speed import textbook_steps_per_second

WORKERS, PROCESSES = 12, 2
WORKERS_PER_PROCESS = WORKERS // PROCESSES
TITLE = (
    f"stepping: microseconds of a core an environment step, gymnasium's Pendulum, one process of {WORKERS_PER_PROCESS} workers"
)
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


class StepBreakdown:
    """One process of workers whose parts are timed.

    Args:
        overrides: of the configuration.
    """

    def __init__(self, overrides: list[str]) -> None:
        # The same environments, within reach.
        reachable = {"make_envs": partial(GymnasiumEnvs, "Pendulum-v1")}
        self.training = HogwildProcess(["env=pendulum", f"workers={WORKERS}", *overrides], PROCESSES, lambda _: reachable)
        self.training.run_rounds(_ROUNDS_WARM_UP)  # which also makes the machine code
        self._timer = PartTimer()
        self._install_timers()

    def _install_timers(self) -> None:
        watch, loop = self._timer, self.training.loop
        workers: Any = loop.group
        rollout: Any = workers._rollout
        for env in workers.envs.envs:
            watch.time_method(env.unwrapped, "step", "environment")
        watch.time_method(workers.envs, "step", "around it")
        for name in ("begin", "act", "value", "record"):
            watch.time_method(rollout._policy, name, "network")
        watch.time_method(rollout, "run", "window")
        watch.time_method(workers, "_vectorized_gradient", "learning")
        watch.time_method(loop.exchange, "push_and_pull", "pushing")

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds a step of each part, over so many seconds."""
        self._timer.clear()
        rounds, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            rounds += self.training.run_rounds(20)
        whole, found = time.perf_counter() - began, self._timer.seconds
        spent = {**found, "rest": whole - sum(found.values())}
        return {part: 1e6 * spent[part] / (rounds * self.training.steps) for part in PARTS}


def variants(runs: TrainingRuns) -> list[Variant]:
    def of(setting: str) -> list[Variant]:
        return BreakdownVariants(lambda: StepBreakdown([setting]), runs.seconds / 4).variants(f"a3c_exp {setting}", PARTS)

    return [
        # Two cores are busy, and the steps of both are counted.
        Variant(BASELINE, lambda: 1e6 * PROCESSES / textbook_steps_per_second(runs)),
        *of("compile=false"),
        *of("compile=true"),
    ]


def main() -> None:
    for setting in ("compile=false", "compile=true"):
        with single_threaded():
            found = StepBreakdown([setting]).measure(5.0)
        print(f"{setting}: {sum(found.values()):.1f} µs a step")
        for part, microseconds in found.items():
            print(f"  {microseconds:6.1f}  {PARTS[part]}")


if __name__ == "__main__":
    main()
