"""Steps per second of a core in gymnasium's Pendulum: a process of hogwild beside one that does nothing but step it."""

import time

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.training_process import CoreRate
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites.parts import trainings
from benchmarks.suites.roofline import env_steps_per_second

TITLE = "pendulum_core: steps per second of processor time, gymnasium's Pendulum, one process of hogwild's two, 6 of 12 workers"
UNIT = "steps/s"
BASELINE = "the environment alone"


def variants(runs: TrainingRuns) -> list[Variant]:
    hogwild = CoreRate(trainings()["gymnasium's Pendulum, hogwild"].make, runs.seconds)
    return [
        Variant(BASELINE, lambda: env_steps_per_second("Pendulum-v1", runs.seconds, time.process_time)),
        Variant("a3c_exp, hogwild", hogwild.measure, Requirement("ratio", "at least", 0.75)),
    ]
