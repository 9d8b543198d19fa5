"""Seconds until CartPole is solved, against stable-baselines3's A2C; each repeat uses another seed."""

import itertools
import sys

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import TrainingRuns, last_json_result, read_json_lines
from benchmarks.suites.solved_at import first_solved_episode

TITLE = "solve: seconds of training until the last 100 training episodes of CartPole average 475"
UNIT = "s"
BASELINE = "stable-baselines3 A2C, rl-zoo's settings"
MAX_STEPS = 500_000  # rl-zoo's budget
TIMEOUT = 1800.0
TUNED_OVERRIDES = ["env=cartpole", "+experiment=cartpole_tuned"]


def variants(runs: TrainingRuns) -> list[Variant]:
    baseline_seeds, a3c_seeds = itertools.count(), itertools.count()
    return [
        Variant(BASELINE, lambda: solve_stable_baselines(runs, next(baseline_seeds))),
        Variant(
            "a3c_exp +experiment=cartpole_tuned", lambda: solve_a3c(runs, next(a3c_seeds)), Requirement("ratio", "at most", 0.5)
        ),
    ]


def solve_a3c(runs: TrainingRuns, seed: int) -> float:
    """Seconds from the start of training by the run's episode log; without evaluations, as the baseline has none."""
    directory, _ = runs.run(
        [f"seed={seed}", "evaluation.every_env_steps=null"], MAX_STEPS, base=TUNED_OVERRIDES, timeout=TIMEOUT
    )
    solved = first_solved_episode(read_json_lines(directory / "episodes.jsonl"))
    if solved is None:
        raise MeasurementError(f"seed {seed} was not solved in {MAX_STEPS:,} steps")
    return float(solved["wall_time"])


def solve_stable_baselines(runs: TrainingRuns, seed: int) -> float:
    arguments = [sys.executable, "-m", "benchmarks.baselines.stable_baselines_a2c", "--solve", "--seed", str(seed)]
    with run_command([*arguments, "--max-steps", str(MAX_STEPS), "--json"], runs.unused_path("output")) as job:
        job.wait(timeout=TIMEOUT)
    result = last_json_result(job.output, "stable_baselines_a2c")
    if result["seconds"] is None:
        raise MeasurementError(f"seed {seed} was not solved in {result['trained']:,} steps")
    return float(result["seconds"])
