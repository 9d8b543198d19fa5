"""Seconds from the command to the first environment step, and to the help page."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import WORKERS, TrainingRuns, first_step_time

TITLE = f"start-up: from the command to the first environment step, Pendulum, {WORKERS} workers"
UNIT = "s"
BASELINE = None
RUN_STEPS = 20_000  # a short run
HELP_TIMEOUT = 60.0


def variants(runs: TrainingRuns) -> list[Variant]:
    one_each = f"parallelism.processes={WORKERS}"
    soon = Requirement("value", "less than", 5.0)
    return [
        Variant("a3c_exp", lambda: time_to_first_step(runs, []), soon),
        Variant("a3c_exp logger=none", lambda: time_to_first_step(runs, [], "none"), soon),
        Variant(f"a3c_exp {one_each}", lambda: time_to_first_step(runs, [one_each])),
        Variant("a3c_exp --help", lambda: time_help_page(runs), Requirement("value", "less than", 1.5)),
    ]


def time_to_first_step(runs: TrainingRuns, overrides: Sequence[str], logger: str | None = None) -> float:
    """The clock starts before the interpreter does. ``logger=None`` is the default logger."""
    directory, started_at = runs.run(overrides, RUN_STEPS, logger)
    seconds = first_step_time(directory) - started_at
    if seconds < 0:
        raise MeasurementError(
            f"the first step is {-seconds:.1f} s before the command: the clock was set, or its time zone is wrong"
        )
    return seconds


def time_help_page(runs: TrainingRuns) -> float:
    with run_command([sys.executable, "-m", "a3c_exp", "--help"], runs.unused_path("output")) as job:
        seconds = job.wait(HELP_TIMEOUT)
    if not job.output.read_text().strip():
        raise MeasurementError("--help printed nothing")
    return seconds
