"""What normalization costs: training speed with it, over the speed without, measured right after each other."""

from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites.throughput import FUSED_ROUNDS, GYMNASIUM, NO_EVALUATION

TITLE = "normalization: training speed with normalized observations and rewards, over that without; Pendulum, 12 workers"
UNIT = "times the speed without"
BASELINE = "hogwild, gymnasium's Pendulum, compile=false"
NORMALIZED = ("normalize.observation=true", "normalize.reward=true")


def variants(runs: TrainingRuns) -> list[Variant]:
    def ratio(name: str, overrides: Sequence[str]) -> Variant:
        def measure() -> float:
            without = runs.steps_per_second(overrides)
            return runs.steps_per_second([*overrides, *NORMALIZED]) / without

        return Variant(name, measure, Requirement("value", "at least", 0.9))

    return [
        ratio(BASELINE, ["compile=false", *GYMNASIUM, *NO_EVALUATION]),
        ratio("hogwild, tensors, compiled", FUSED_ROUNDS),
        ratio(
            "parameter_server, gymnasium's Pendulum, compile=false",
            ["parallelism=parameter_server", "compile=false", *GYMNASIUM, *NO_EVALUATION],
        ),
        ratio("deterministic, tensors, compiled", ["parallelism=deterministic", *FUSED_ROUNDS]),
        ratio("synchronous, tensors, compiled", ["parallelism=synchronous", *FUSED_ROUNDS]),
    ]
