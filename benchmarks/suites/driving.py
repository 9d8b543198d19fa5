"""Training frames per second on CarRacing from pixels with 8 workers, against stable-baselines3's A2C, beside APPO."""

import importlib.util
import os
import sys
from collections.abc import Sequence

from a3c_exp.compile.precision import multiplies_bfloat16
from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import CAR_RACING, STARTUP_TIMEOUT, TrainingRuns, last_json_result

WORKERS = 8
MIN_STEPS = 2_000  # steps: a few seconds
TITLE = f"driving: training frames a second, CarRacing from pixels, {WORKERS} workers, frame skip 1"
UNIT = "frames/s"
BASELINE = "stable-baselines3 A2C"
APPO = "sample-factory APPO"
APPO_PYTHON = "A3C_EXP_SAMPLE_FACTORY_PYTHON"  # an interpreter that has it, as it needs an older numpy


def variants(runs: TrainingRuns) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], requirement: Requirement | None = None, frame_skip: int = 1) -> Variant:
        overrides = [*overrides, f"workers={WORKERS}", f"env.frame_skip={frame_skip}"]
        return Variant(name, lambda: frame_skip * runs.steps_per_second(overrides, CAR_RACING, MIN_STEPS), requirement)

    return [
        Variant(BASELINE, lambda: stable_baselines(runs, threads=0)),
        Variant(f"{BASELINE}, one thread", lambda: stable_baselines(runs, threads=1)),
        *appo_variants(runs),
        ours("a3c_exp env=car_racing compile=false", ["compile=false"]),
        ours("a3c_exp env=car_racing compile=true", ["compile=true"], Requirement("ratio", "at least", 8.0)),
        *(
            [ours("a3c_exp env=car_racing compile=true precision=bfloat16", ["compile=true", "precision=bfloat16"])]
            if multiplies_bfloat16()
            else []
        ),
        ours("a3c_exp parallelism=synchronous", ["compile=false", "parallelism=synchronous", "parallelism.env_processes=2"]),
        ours("a3c_exp env.frame_skip=4 compile=true", ["compile=true"], frame_skip=4),
    ]


def appo_variants(runs: TrainingRuns) -> list[Variant]:
    """sample-factory's, where it is installed. No extra has it: its requirements exclude this package's gymnasium and numpy."""
    python = os.environ.get(APPO_PYTHON) or sys.executable
    if python == sys.executable and importlib.util.find_spec("sample_factory") is None:
        print(f"  without {APPO}, which is not installed: see benchmarks/README.md, driving", file=sys.stderr, flush=True)
        return []
    serial = "--serial_mode=True", "--async_rl=False"
    return [
        Variant(APPO, lambda: baseline_speed(runs, "sample_factory_appo", python=python)),
        Variant(f"{APPO}, one process", lambda: baseline_speed(runs, "sample_factory_appo", *serial, python=python)),
    ]


def stable_baselines(runs: TrainingRuns, threads: int) -> float:
    """``threads=0``: torch's default."""
    return baseline_speed(runs, "stable_baselines_a2c", "--env", "CarRacing-v3", "--threads", str(threads))


def baseline_speed(runs: TrainingRuns, name: str, *options: str, python: str = sys.executable) -> float:
    """Frames per second of ``benchmarks.baselines.<name>``, run as a command, like a3c_exp. It excludes its own warm-up."""
    arguments = [python, "-m", f"benchmarks.baselines.{name}", *options, "--workers", str(WORKERS)]
    arguments += ["--seconds", str(runs.seconds), "--json"]
    with run_command(arguments, runs.unused_path("output")) as job:
        job.wait(timeout=2 * STARTUP_TIMEOUT + 4 * runs.seconds)
    return float(last_json_result(job.output, name)["steps_per_second"])
