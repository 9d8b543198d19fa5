"""Time to result: a whole run of the Pendulum report, and training until Pendulum is solved, with a warm compiler cache."""

import itertools
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.training_runs import TrainingRuns, read_json_lines

TITLE = "overnight: seconds of whole runs on Pendulum, 12 workers, warm compiler cache"
UNIT = "s"
BASELINE = None
SOLVED_RETURN = -200.0
SOURCE_STEPS = 4_000_000  # the report's 1000 episodes of 4000 steps
MAX_STEPS = 6_000_000
TIMEOUT = 900.0
FUSED_ROUNDS = ("compile=true", "env.backend=tensor", "evaluation.every_env_steps=null")


def variants(runs: TrainingRuns) -> list[Variant]:
    results = []
    for name, overrides, required in (
        ("deterministic", ("parallelism=deterministic", *FUSED_ROUNDS), False),
        ("hogwild", ("parallelism=hogwild", "parallelism.processes=2", *FUSED_ROUNDS), True),
    ):
        limits = (Requirement("value", "less than", 25.0), Requirement("value", "less than", 8.0)) if required else (None, None)
        whole = f"the report's 4 million steps, {name}: from the command to the finished run"
        solved = f"until the last 100 episodes of 200 steps average {SOLVED_RETURN:.0f}, {name}"
        results.append(Variant(whole, partial(time_whole_run, runs, overrides), limits[0]))
        results.append(Variant(solved, partial(time_until_solved, runs, overrides, itertools.count()), limits[1]))
    return results


def time_whole_run(runs: TrainingRuns, overrides: Sequence[str]) -> float:
    """Wall time of the command, interpreter and evaluation at the end included."""
    started = time.time()
    directory, _ = runs.run(overrides, SOURCE_STEPS, timeout=TIMEOUT)
    status = json.loads((directory / "run.json").read_text())["status"]
    if status != "finished":
        raise MeasurementError(f"the run ended as {status}")
    return time.time() - started


def time_until_solved(runs: TrainingRuns, overrides: Sequence[str], seeds: Iterator[int]) -> float:
    """Seconds of training by the run's own episode log; each repeat is another seed."""
    seed = next(seeds)
    overrides = (*overrides, f"seed={seed}", "max_episode_steps=200")
    directory, _ = runs.run(overrides, MAX_STEPS, timeout=TIMEOUT)
    solved = first_solved_episode(read_json_lines(directory / "episodes.jsonl"))
    if solved is None:
        raise MeasurementError(f"seed {seed} was not solved in {MAX_STEPS:,} steps")
    return float(solved["wall_time"])


def first_solved_episode(episodes: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The episode with which the mean return of the last 100 first reached -200, or ``None``.

    >>> episodes = [{"return": -1000.0 if i < 50 else -100.0, "wall_time": float(i)} for i in range(200)]
    >>> first_solved_episode(episodes)["wall_time"]
    138.0
    """
    last: deque[float] = deque(maxlen=100)
    for episode in episodes:
        last.append(episode["return"])
        if len(last) == 100 and sum(last) >= 100 * SOLVED_RETURN:
            return episode
    return None
