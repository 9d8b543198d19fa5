"""Run directories of ablations, made up: as many groups and seeds as wanted, with curves that say what a test wants said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.verdicts import Verdict, evaluate_claims
from a3c_exp.report.run_reader import read_runs

EVALUATIONS = 40


@dataclass(frozen=True)
class Way:
    """How a group's runs learn.

    Attributes:
        end: mean reward of a step at the end.
        speed: share of the run after which two thirds of the way are done.
        spread: standard deviation of ``end`` over seeds.
        noise: of single episodes and evaluations.
        lag: mean policy lag.
        seconds: of training.
    """

    end: float = -0.3
    speed: float = 0.1
    spread: float = 0.03
    noise: float = 0.02
    lag: int = 11
    seconds: float = 100.0


def write_arm(
    root: Path,
    ablation: str,
    control: str,
    arm: str | None,
    way: Way,
    *,
    seeds: int = 10,
    first_seed: int = 0,
    episodes: int = 100,
    steps: int = 4000,
    in_steps: bool = False,
    stacked: bool = True,
    config: Mapping[str, Any] | None = None,
    folder: str | None = None,
    status: str = "finished",
) -> Path:
    """Write one group's runs: inside one folder if ``stacked``, else one beside the other."""
    place = root / f"{control},{folder or arm}"
    budget = {"max_episodes": None if in_steps else episodes, "max_env_steps": episodes * steps if in_steps else None}
    whole = {"ablation": {"name": ablation, "arm": arm, "control": control, "own_seed": 0}, **budget, **(config or {})}
    names = []
    for index in range(seeds):
        seed = first_seed + index
        name = f"seed={seed}" if stacked else f"{place.name},seed={seed}"
        names.append(name)
        path = (place / name) if stacked else root / name
        rng = np.random.default_rng([len(arm or folder or ""), seed, round(-1000 * way.end)])
        _write_run(path, {**whole, "seed": seed}, way, rng, episodes, steps, status)
    if stacked:
        (place / "run.json").write_text(json.dumps({"format": 2, "status": "finished", "reason": None, "seeds": names}))
    return place


def ruled(root: Path) -> dict[tuple[int, str, str], Verdict]:
    """The verdicts on all runs below ``root``, by conclusion, protocol and measure."""
    verdicts = evaluate_claims(find_comparisons(read_runs([root])))
    return {(verdict.claim.number, verdict.comparison.key, verdict.measure): verdict for verdict in verdicts}


def _write_run(
    path: Path, config: Mapping[str, Any], way: Way, rng: np.random.Generator, episodes: int, steps: int, status: str
) -> None:
    (path / ".hydra").mkdir(parents=True)
    (path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(dict(config)))
    end = way.end + rng.normal(0.0, way.spread)
    total = episodes * steps

    def level(share: float) -> float:
        return float(end + (-6.0 - end) * np.exp(-share / way.speed))

    rows, average = [], None
    for number in range(1, episodes + 1):
        reward = level(number / episodes) + rng.normal(0.0, way.noise)
        average = reward if average is None else 0.9 * average + 0.1 * reward
        rows.append(
            {"episode": number, "worker": 0, "return": reward * steps, "length": steps, "mean_step_reward": reward,
             "moving_average": average, "env_step": number * steps, "update": number * steps // 10,
             "wall_time": way.seconds * number / episodes, "end": "truncated", "env_seed": number}
        )  # fmt: skip
    evaluations = [
        {"env_step": total * number // EVALUATIONS, "mean": 200.0 * (level(number / EVALUATIONS) + rng.normal(0.0, way.noise)),
         "update": 0, "wall_time": 0.0, "episodes": 25, "ci_low": 0.0, "ci_high": 0.0}
        for number in range(1, EVALUATIONS + 1)
    ]  # fmt: skip
    for name, lines in (("episodes", rows), ("evaluations", evaluations), ("metrics", [])):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = {
        "status": status, "reason": None, "episodes": episodes, "env_steps": total, "updates": total // 10,
        "wall_time": way.seconds * float(rng.normal(1.0, 0.02)), "moving_average": average, "evaluation": evaluations[-1],
        "policy_lag": {"mean": way.lag, "max": 2 * way.lag, "histogram": [0] * way.lag + [3, 1]},
    }  # fmt: skip
    (path / "summary.json").write_text(json.dumps(summary))
    (path / "run.json").write_text(json.dumps({"format": 2, "status": status, "reason": None, "seed": config["seed"]}))
