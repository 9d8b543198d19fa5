"""Training steps per second of a core on CartPole with 6 workers, against stable-baselines3's A2C on one thread."""

import time

from benchmarks.baselines.stable_baselines_a2c import speed
from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.training_process import CoreRate
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites.cartpole import BASELINE, UNIT, WORKERS
from benchmarks.suites.parts import trainings

TITLE = f"cartpole_core: training steps per second of processor time, CartPole, {WORKERS} workers, without logs and checkpoints"
__all__ = ["BASELINE", "TITLE", "UNIT", "variants"]


def variants(runs: TrainingRuns) -> list[Variant]:
    synchronous = CoreRate(trainings()["CartPole, synchronous"].make, runs.seconds)
    return [
        Variant(BASELINE, lambda: speed("CartPole-v1", WORKERS, runs.seconds, 0, 1, time.process_time)),
        Variant("a3c_exp, synchronous", synchronous.measure, Requirement("ratio", "at least", 20.0)),
    ]
