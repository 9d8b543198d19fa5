"""Seconds from the command to the first environment step, and to the help page."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import running
from benchmarks.harness.training_runs import WORKERS, Runs, first_step_at

TITLE = f"start-up: from the command to the first environment step, Pendulum, {WORKERS} workers"
UNIT = "s"
BASELINE = None
STEPS = 20_000  # enough to be a run, and soon over
HELP_LIMIT = 60.0


def variants(runs: Runs) -> list[Variant]:
    every = f"parallelism.processes={WORKERS}"
    soon = Requirement("value", "less than", 5.0)
    return [
        Variant("a3c_exp", lambda: first_step(runs, []), soon),
        Variant("a3c_exp logger=none", lambda: first_step(runs, [], "none"), soon),
        Variant(f"a3c_exp {every}", lambda: first_step(runs, [every])),
        Variant("a3c_exp --help", lambda: help_page(runs), Requirement("value", "less than", 1.5)),
    ]


def first_step(runs: Runs, overrides: Sequence[str], logger: str | None = None) -> float:
    """From outside: the clock starts before the interpreter does. The default logger unless one is named."""
    directory, started_at = runs.run(overrides, STEPS, logger)
    seconds = first_step_at(directory) - started_at
    if seconds < 0:
        raise MeasurementError(
            f"the first step stands {-seconds:.1f} s before the command: the clock was set, or its zone is off"
        )
    return seconds


def help_page(runs: Runs) -> float:
    with running([sys.executable, "-m", "a3c_exp", "--help"], runs.scratch("output")) as job:
        seconds = job.wait(HELP_LIMIT)
    if not job.output.read_text().strip():
        raise MeasurementError("--help printed nothing")
    return seconds
