"""Hogwild on pictures beside synchronous training: milliseconds of a core per step of an Atari game, everything included.

python -m benchmarks.suites.pictures                 every variant, in turn

Measured by processor time, which other programs affect only through caches and memory. Hogwild's is that of one process of
two, whose pushes meet no other's.
"""

from collections.abc import Callable
from functools import partial

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.training_process import CoreRate, SynchronousProcess, TrainingProcess, WorkerProcess
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


def variants(runs: TrainingRuns) -> list[Variant]:
    return _variants(runs.seconds / 2)


def _variants(seconds: float) -> list[Variant]:
    required = {"hogwild": Requirement("ratio", "at most", 1.0)}

    def variant(name: str, make: Callable[[], TrainingProcess]) -> Variant:
        rate = CoreRate(make, seconds)
        return Variant(name, lambda: 1e3 / rate.measure(), required.get(name))

    hogwild = [variant(name, partial(WorkerProcess, [*TASK, *own], PROCESSES)) for name, own in HOGWILD.items()]
    return [variant(BASELINE, partial(SynchronousProcess, TASK)), *hogwild]


def main() -> None:
    variants = _variants(0.5)
    for _ in range(3):
        for variant in variants:
            print(f"{variant.measure():6.3f} ms  {variant.name}", flush=True)


if __name__ == "__main__":
    main()
