"""Seconds until CartPole is solved, against stable-baselines3's A2C; each repeat is another seed."""

import itertools
import sys

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import running
from benchmarks.harness.training_runs import Runs, last_result, read_lines
from benchmarks.suites.solved_at import solved_at

TITLE = "solve: seconds of training until the last 100 training episodes of CartPole average 475"
UNIT = "s"
BASELINE = "stable-baselines3 A2C, rl-zoo's settings"
MAX_STEPS = 500_000  # rl-zoo's budget
LIMIT = 1800.0
TUNED = ["env=cartpole", "+experiment=cartpole_tuned"]


def variants(runs: Runs) -> list[Variant]:
    theirs, ours = itertools.count(), itertools.count()
    return [
        Variant(BASELINE, lambda: stable_baselines(runs, next(theirs))),
        Variant("a3c_exp +experiment=cartpole_tuned", lambda: tuned(runs, next(ours)), Requirement("ratio", "at most", 0.5)),
    ]


def tuned(runs: Runs, seed: int) -> float:
    """From the start of training, by the run's own episode log; without evaluations, of which the other side has none."""
    directory, _ = runs.run([f"seed={seed}", "evaluation.every_env_steps=null"], MAX_STEPS, base=TUNED, limit=LIMIT)
    at = solved_at(read_lines(directory / "episodes.jsonl"))
    if at is None:
        raise MeasurementError(f"seed {seed} was not solved in {MAX_STEPS:,} steps")
    return float(at["wall_time"])


def stable_baselines(runs: Runs, seed: int) -> float:
    arguments = [sys.executable, "-m", "benchmarks.baselines.stable_baselines_a2c", "--solve", "--seed", str(seed)]
    with running([*arguments, "--max-steps", str(MAX_STEPS), "--json"], runs.scratch("output")) as job:
        job.wait(limit=LIMIT)
    found = last_result(job.output, "stable_baselines_a2c")
    if found["seconds"] is None:
        raise MeasurementError(f"seed {seed} was not solved in {found['trained']:,} steps")
    return float(found["seconds"])
