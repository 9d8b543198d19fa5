"""When runs solved CartPole: environment steps and seconds until the mean return of the last 100 training episodes reached 475.

python -m benchmarks.suites.solved_at outputs/2026-11-21/12-00-00_cartpole       a run, or a folder with several seeds

Returns count up to 500 each, so that a preset that continues past CartPole's limit is measured in the same way.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.training_runs import read_json_lines

SOLVED_RETURN = 475.0
MAX_RETURN = 500.0  # of CartPole's longest episode


def first_solved_episode(episodes: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The episode with which the mean of the last 100 first reached 475, or ``None``.

    >>> episodes = [{"return": 500.0, "wall_time": float(i), "env_step": 500 * i} for i in range(1, 200)]
    >>> first_solved_episode(episodes)["wall_time"], first_solved_episode(episodes[:99])
    (100.0, None)
    """
    last: deque[float] = deque(maxlen=100)
    for episode in episodes:
        last.append(min(episode["return"], MAX_RETURN))
        if len(last) == 100 and sum(last) >= 100 * SOLVED_RETURN:
            return episode
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites.solved_at", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, nargs="+", help="a run directory, or one with seed=... directories inside")
    arguments = parser.parse_args()
    runs = [seed for run in arguments.run for seed in sorted(run.glob("seed=*"), key=_seed_number) or [run]]
    solved = []
    for run in runs:
        episodes = read_json_lines(run / "episodes.jsonl")
        episode = first_solved_episode(episodes)
        if episode is None:
            print(f"{run.name}: not solved in {len(episodes):,} episodes")
            continue
        solved.append(episode)
        print(f"{run.name}: after {episode['env_step']:,} steps, {episode['wall_time']:.1f} s, {episode['episode']:,} episodes")
    if solved:
        steps, seconds = (median(episode[key] for episode in solved) for key in ("env_step", "wall_time"))
        print(f"solved {len(solved)} of {len(runs)}; median {steps:,.0f} steps, {seconds:.1f} s")


def _seed_number(path: Path) -> int:
    return int(path.name.removeprefix("seed="))


if __name__ == "__main__":
    main()
