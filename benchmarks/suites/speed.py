"""Training steps per second on Pendulum with 12 workers, compared with a textbook implementation."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import STARTUP_TIMEOUT, WORKERS, TrainingRuns, last_json_result

TITLE = f"speed: training steps a second, Pendulum, {WORKERS} workers"
UNIT = "steps/s"
BASELINE = "textbook_a3c"


def variants(runs: TrainingRuns) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], requirement: Requirement | None = None) -> Variant:
        return Variant(name, lambda: runs.steps_per_second(overrides), requirement)

    return [
        Variant(BASELINE, lambda: textbook_steps_per_second(runs)),
        ours("a3c_exp", [], Requirement("ratio", "at least", 5.0)),
        ours(f"a3c_exp parallelism.processes={WORKERS}", [f"parallelism.processes={WORKERS}"]),
        ours("a3c_exp parallelism.lock=true", ["parallelism.lock=true"]),
        Variant(f"{BASELINE} --tuned", lambda: textbook_steps_per_second(runs, "--tuned")),
    ]


def textbook_steps_per_second(runs: TrainingRuns, *options: str) -> float:
    """Runs as a command, like a3c_exp, and excludes its own warm-up."""
    arguments = [sys.executable, "-m", "benchmarks.baselines.textbook_a3c", "--workers", str(WORKERS)]
    arguments += ["--seconds", str(runs.seconds), "--json", *options]
    with run_command(arguments, runs.unused_path("output")) as job:
        job.wait(timeout=2 * STARTUP_TIMEOUT + 2 * runs.seconds)
    return float(last_json_result(job.output, "textbook_a3c")["steps_per_second"])
