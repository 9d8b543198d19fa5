"""Peak memory of a 12-worker run: PSS over every process it starts, the tracker's helper included."""

from collections.abc import Sequence

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import PROC, pss_bytes
from benchmarks.harness.training_runs import WORKERS, TrainingRuns

TITLE = f"memory: peak PSS of the whole process tree, Pendulum, {WORKERS} workers"
UNIT = "MB"  # 10^6 bytes
BASELINE = None
POLL_INTERVAL = 0.25  # seconds


def variants(runs: TrainingRuns) -> list[Variant]:
    every = [f"parallelism.processes={WORKERS}"]
    one, many = Requirement("value", "less than", 600.0), Requirement("value", "less than", 2500.0)
    return [
        Variant("a3c_exp logger=wandb", lambda: peak_memory_mb(runs, [], "wandb"), one),
        Variant("a3c_exp logger=none", lambda: peak_memory_mb(runs, [], "none"), one),
        Variant(f"a3c_exp {every[0]} logger=wandb", lambda: peak_memory_mb(runs, every, "wandb"), many),
        Variant(f"a3c_exp {every[0]} logger=none", lambda: peak_memory_mb(runs, every, "none"), many),
    ]


def peak_memory_mb(runs: TrainingRuns, overrides: Sequence[str], logger: str) -> float:
    """The highest of many looks during one run, start and end included."""
    if not (PROC / "self" / "smaps_rollup").exists():
        raise MeasurementError("needs /proc/<pid>/smaps_rollup (Linux 4.14 or newer)")
    steps = runs.steps_for(overrides, runs.seconds)
    highest = 0

    def look(pids: list[int]) -> None:
        nonlocal highest
        highest = max(highest, pss_bytes(pids))

    runs.run(overrides, steps, logger, POLL_INTERVAL, look)
    if highest == 0:
        raise MeasurementError("the process tree was never seen")
    return highest / 1e6
