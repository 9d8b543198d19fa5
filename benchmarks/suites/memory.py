"""Peak memory of a 12-worker run: PSS of every process that it starts, W&B's helper included."""

from collections.abc import Sequence

import psutil

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import pss_bytes
from benchmarks.harness.training_runs import WORKERS, TrainingRuns

TITLE = f"memory: peak PSS of the process tree, Pendulum, {WORKERS} workers"
UNIT = "MB"  # 10^6 bytes
BASELINE = None
POLL_INTERVAL = 0.25  # seconds


def variants(runs: TrainingRuns) -> list[Variant]:
    one_each = [f"parallelism.processes={WORKERS}"]
    one, many = Requirement("value", "less than", 600.0), Requirement("value", "less than", 2500.0)
    return [
        Variant("a3c_exp logger=wandb", lambda: peak_memory_mb(runs, [], "wandb"), one),
        Variant("a3c_exp logger=none", lambda: peak_memory_mb(runs, [], "none"), one),
        Variant(f"a3c_exp {one_each[0]} logger=wandb", lambda: peak_memory_mb(runs, one_each, "wandb"), many),
        Variant(f"a3c_exp {one_each[0]} logger=none", lambda: peak_memory_mb(runs, one_each, "none"), many),
    ]


def peak_memory_mb(runs: TrainingRuns, overrides: Sequence[str], logger: str) -> float:
    """The maximum of many samples during one run, start and end included."""
    steps = runs.steps_for(overrides, runs.seconds)
    peak = 0

    def sample(processes: list[psutil.Process]) -> None:
        nonlocal peak
        peak = max(peak, pss_bytes(processes))

    runs.run(overrides, steps, logger, POLL_INTERVAL, sample)
    if peak == 0:
        raise MeasurementError("no process of the run was seen")
    return peak / 1e6
