"""Where the processor time of a training goes: real trainings, one process of each, whose parts are timed where they run.

python -m benchmarks.suites.parts                    every training, once
python -m benchmarks.suites.parts CarRacing          those whose names contain this

Processor time, which other programs affect only through caches and memory. What the timing itself takes is measured
beforehand and left out.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from a3c_exp.system.torch_settings import single_threaded
from benchmarks.harness.interleaved import MeasurementError, Variant
from benchmarks.harness.profile_parts import BreakdownVariants, PartTimer
from benchmarks.harness.training_process import SynchronousProcess, WorkerProcess
from benchmarks.harness.training_runs import CARTPOLE, TrainingRuns

TITLE = "parts: microseconds of processor time per environment step, one process of each training"
UNIT = "µs"
BASELINE = None
PROCESSES = 2  # of the whole training, in hogwild and with a parameter server
PARTS = {
    "environments": "the environments",
    "drawing": "drawing pictures, and shrinking them",
    "acting": "acting",
    "window": "the rest of a window: noise, records, returns, limits",
    "learning": "learning",
    "pushing": "pushing and pulling",
    "server": "the parameter server, which has a process of its own",
    "rest": "the rest: budget, statistics, commands",
}
_NAMES_IN_TENSORS = {"acting": "acting and the environments"}  # which are one compiled function
_WARM_UP = 1.0  # seconds of processor time
_TOLERANCE = 0.05  # of the whole, by which the sum of the parts may miss it


@dataclass(frozen=True)
class Training:
    """A measured training, and which of ``PARTS`` it has."""

    make: Callable[[], WorkerProcess | SynchronousProcess]
    parts: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """Those of its parts in a table, by key."""
        names = PARTS if "environments" in self.parts else PARTS | _NAMES_IN_TENSORS
        return {part: names[part] for part in PARTS if part in self.parts}


_STEPPED = ("environments", "acting", "window", "learning", "pushing", "rest")
_PONG = ("env=atari", "env.id=ALE/Pong-v5", "workers=16", "compile=false")


def trainings() -> dict[str, Training]:
    """All that can be measured here, by name."""
    pendulum = ["env=pendulum", "workers=12", "env.backend=gymnasium", "compile=true"]
    hogwild, car_parts = [*_PONG, "parallelism=hogwild"], (*_STEPPED, "drawing", "server")
    result = {
        "gymnasium's Pendulum, hogwild": Training(partial(WorkerProcess, pendulum, PROCESSES), _STEPPED),
        "CartPole, synchronous": Training(
            partial(SynchronousProcess, [*CARTPOLE, "compile=true"]), ("acting", "window", "learning", "pushing", "rest")
        ),
        "Pong, hogwild": Training(partial(WorkerProcess, hogwild, PROCESSES), _STEPPED),
        "Pong, synchronous": Training(partial(SynchronousProcess, _PONG), _STEPPED),
        "CarRacing": Training(partial(WorkerProcess, ["env=car_racing", "compile=false"], PROCESSES), car_parts),
        "CarRacing, tuned": Training(
            partial(WorkerProcess, ["+experiment=car_racing_tuned", "compile=false"], PROCESSES), car_parts
        ),
    }
    needs = {"Pong": "ale_py", "CarRacing": "Box2D"}  # extras
    missing = [word for word, module in needs.items() if importlib.util.find_spec(module) is None]
    return {name: training for name, training in result.items() if not any(word in name for word in missing)}


class Breakdown:
    """A training whose parts are timed.

    Args:
        training: is built, compiled where it says so, and warmed up at once.
    """

    def __init__(self, training: Training) -> None:
        self._parts = training.parts
        self.process = training.make()
        self.process.train(_WARM_UP)
        self._timer = PartTimer(time.process_time, calibrate=True)
        self._train = self._timer.timed(self.process.train, "rest")
        install_timers(self.process, self._timer)

    def measure(self, seconds: float) -> dict[str, float]:
        """Microseconds of processor time per environment step of each part, over so many seconds of it.

        Raises:
            MeasurementError: the parts do not add up to the whole, or one was not timed.
        """
        timer = self._timer
        timer.clear()
        before, began = self.process.env_steps(), time.process_time()
        self._train(seconds)
        whole, steps = time.process_time() - began, self.process.env_steps() - before
        if set(timer.seconds) != set(self._parts):
            raise MeasurementError(f"timed {sorted(timer.seconds)}, where a training has {sorted(self._parts)}")
        timed = sum(timer.seconds.values()) + timer.seconds_of_timing
        if abs(timed - whole) > _TOLERANCE * whole:
            raise MeasurementError(f"the parts add up to {timed:.3f} s of {whole:.3f} s")
        return {part: 1e6 * timer.seconds[part] / steps for part in PARTS if part in self._parts}


def install_timers(process: WorkerProcess | SynchronousProcess, timer: PartTimer) -> None:
    """Time the parts of this process from now on."""
    group: Any = process.group
    timer.time_method(group._noise, "of_round", "window")
    timer.time_method(group._noise, "of_rounds_ahead", "window")
    if (fused := group._fused_rollout) is not None:
        timer.time_method(fused, "act", "acting")
        timer.time_method(fused, "learn", "learning")
        for name in ("begin", "end"):
            timer.time_method(fused, name, "window")
    else:
        for name in ("begin", "act", "value", "record"):
            timer.time_method(group._rollout._policy, name, "acting")
        timer.time_method(group._rollout, "run", "window")
        timer.time_method(group, "_differentiate", "learning")
        for name in ("step", "reset"):
            timer.time_method(group.envs, name, "environments")
        if hasattr(group.envs, "_draw"):
            timer.time_method(group.envs, "_draw", "drawing")
    if isinstance(process, SynchronousProcess):
        for training in process.parallelism.trainings:
            timer.time_method(training, "push", "pushing")
        if process.sequential_updates is not None:
            timer.time_method(process.sequential_updates, "push", "pushing")
        return
    for name in ("push_and_pull_all", "push_and_pull"):
        timer.time_method(process.loop.exchange, name, "pushing")
    if process.server is not None:
        timer.time_method(process.server, "serve", "server")


def variants(runs: TrainingRuns) -> list[Variant]:
    result: list[Variant] = []
    for name, training in trainings().items():
        result += BreakdownVariants(partial(Breakdown, training), runs.seconds / 4).variants(name, training.names)
    return result


def main() -> None:
    for name, training in trainings().items():
        if sys.argv[1:] and sys.argv[1] not in name:
            continue
        with single_threaded():
            parts = Breakdown(training).measure(5.0)
        print(f"{name}: {sum(parts.values()):.1f} µs a step", flush=True)
        for part, microseconds in parts.items():
            print(f"  {microseconds:8.2f}  {training.names[part]}", flush=True)


if __name__ == "__main__":
    main()
