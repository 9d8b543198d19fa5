"""Hogwild on pictures beside synchronous training: milliseconds of a core per step of an Atari game, everything included.

python -m benchmarks.suites.pictures                 every variant, in turn

Measured by processor time, which other programs affect only through caches and memory. Hogwild's is that of one process of
two, whose pushes meet no other's.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.profile_parts import UNLIMITED_BUDGET, HogwildProcess
from benchmarks.harness.training_runs import TrainingRuns

WORKERS, PROCESSES = 16, 2
TITLE = f"pictures: milliseconds of a core per environment step, ALE/Pong-v5, nature_cnn, {WORKERS} workers, not compiled"
UNIT = "ms"
BASELINE = "synchronous"
TASK = ("env=atari", "env.id=ALE/Pong-v5", f"workers={WORKERS}", "compile=false")
HOGWILD = {
    "hogwild": ("parallelism=hogwild",),
    "hogwild one_update_per_process=true": ("parallelism=hogwild", "parallelism.one_update_per_process=true"),
    "hogwild pull_together=false": ("parallelism=hogwild", "parallelism.pull_together=false"),
}
_WARM_UP_ROUNDS = 2

Rounds = Callable[[int], object]


@cache
def _synchronous(task: Sequence[str]) -> tuple[Rounds, int]:
    """What runs so many rounds, and the steps of one."""
    (job,) = compose_jobs([*task, "parallelism=synchronous", *UNLIMITED_BUDGET], False)
    assembly = build_run(job.config)
    parallelism: Any = assembly.parallelism
    parallelism.start(assembly.setup, assembly.initial_states)
    steps = assembly.setup.workers * assembly.setup.learner.n_step

    def run(rounds: int) -> None:
        until = parallelism.counts(0).env_steps + rounds * steps
        while parallelism.counts(0).env_steps < until:
            parallelism.advance(60.0, [until])  # no further than there

    return run, steps


@cache
def _hogwild(task: Sequence[str]) -> tuple[Rounds, int]:
    process = HogwildProcess(task, PROCESSES)
    return process.run_rounds, process.steps


def milliseconds(make: Callable[[Sequence[str]], tuple[Rounds, int]], task: Sequence[str], seconds: float) -> float:
    """Of processor time a step, over at least ``seconds`` of it; the first call also warms up."""
    with single_threaded():
        run, steps = make(task)
        run(_WARM_UP_ROUNDS)
        rounds, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            run(1)
            rounds += 1
        return 1e3 * (time.process_time() - began) / (rounds * steps)


def variants(runs: TrainingRuns) -> list[Variant]:
    return _variants(runs.seconds / 2)


def _variants(seconds: float) -> list[Variant]:
    required = {"hogwild": Requirement("ratio", "at most", 1.0)}

    def hogwild(name: str) -> Variant:
        return Variant(name, lambda: milliseconds(_hogwild, (*TASK, *HOGWILD[name]), seconds), required.get(name))

    return [Variant(BASELINE, lambda: milliseconds(_synchronous, TASK, seconds)), *map(hogwild, HOGWILD)]


def main() -> None:
    for _ in range(3):
        for variant in _variants(0.5):
            print(f"{variant.measure():6.3f} ms  {variant.name}", flush=True)


if __name__ == "__main__":
    main()
