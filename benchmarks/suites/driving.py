"""Training frames per second on CarRacing from pixels with 8 workers, against stable-baselines3's A2C."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import CAR_RACING, STARTUP_TIMEOUT, TrainingRuns, last_json_result

WORKERS = 8
MIN_STEPS = 2_000  # steps: a few seconds
TITLE = f"driving: training frames a second, CarRacing from pixels, {WORKERS} workers, frame skip 1"
UNIT = "frames/s"
BASELINE = "stable-baselines3 A2C"


def variants(runs: TrainingRuns) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], requirement: Requirement | None = None, frame_skip: int = 1) -> Variant:
        overrides = [*overrides, f"workers={WORKERS}", f"env.frame_skip={frame_skip}"]
        return Variant(name, lambda: frame_skip * runs.steps_per_second(overrides, CAR_RACING, MIN_STEPS), requirement)

    return [
        Variant(BASELINE, lambda: stable_baselines(runs, threads=0)),
        Variant(f"{BASELINE}, one thread", lambda: stable_baselines(runs, threads=1)),
        ours("a3c_exp env=car_racing compile=false", ["compile=false"]),
        ours("a3c_exp env=car_racing compile=true", ["compile=true"], Requirement("ratio", "at least", 3.0)),
        ours("a3c_exp parallelism=synchronous", ["compile=false", "parallelism=synchronous", "parallelism.env_processes=2"]),
        ours("a3c_exp env.frame_skip=4 compile=true", ["compile=true"], frame_skip=4),
    ]


def stable_baselines(runs: TrainingRuns, threads: int) -> float:
    """Runs as a command, like a3c_exp, and excludes its own warm-up. ``threads=0``: torch's default."""
    arguments = [
        sys.executable,
        "-m",
        "benchmarks.baselines.stable_baselines_a2c",
        "--env",
        "CarRacing-v3",
        "--workers",
        str(WORKERS),
    ]
    arguments += ["--threads", str(threads), "--seconds", str(runs.seconds), "--json"]
    with run_command(arguments, runs.unused_path("output")) as job:
        job.wait(timeout=2 * STARTUP_TIMEOUT + 4 * runs.seconds)
    return float(last_json_result(job.output, "stable_baselines_a2c")["steps_per_second"])
