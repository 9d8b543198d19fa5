"""Run directories as training writes them, made up: the documented format, a plausible curve, any way to end."""

import json
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, MetricsRecord
from tests.support.metrics import metrics_record

DEAD_PID = 2**22 + 1  # above the kernel's largest process id
NEW = ("grad_norm_clipped", "value_std", "entropy_normalized", "max_probability", "truncated_share",
       "worker_steps_per_second", "worker_updates_per_second")  # fmt: skip
HALF_A_LINE = '{"episode": 999, "worker": 3, "return": -65'


def write_run(
    path: Path,
    *,
    seed: int = 0,
    workers: int = 4,
    episodes: int = 40,
    steps: int = 200,
    evaluations: int = 5,
    status: str = "finished",
    reason: str = "the budget of episodes is used up",
    pid: int | None = None,
    host: str | None = None,
    half_written: bool = False,
    old: bool = False,
    discrete: bool = False,
    clipped: bool = False,
    own: list[dict[str, float]] | None = None,
    config: Mapping[str, Any] | None = None,
    overrides: list[str] | None = None,
    run_json: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run directory at ``path``.

    ``running`` writes no summary; ``half_written`` ends episodes mid-line; ``old`` leaves out what runs did not always write;
    ``discrete`` policies have probabilities; ``clipped`` gradients are shorter after than before; ``own`` is each worker's.
    """
    rng = np.random.default_rng([seed, workers])
    (path / ".hydra").mkdir(parents=True)
    overrides = [f"workers={workers}", f"seed={seed}"] if overrides is None else overrides
    whole = {"seed": seed, "workers": workers, "gamma": 0.9, "env": {"id": "Pendulum-v1"}, "optimizer": {"lr": 1e-4}}
    (path / ".hydra" / "config.yaml").write_text(yaml.safe_dump({**whole, **(config or {})}))
    (path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    rows = _episodes(rng, episodes, steps, workers)
    curve = [row.moving_average for row in rows]
    lines = [line.to_dict() for line in _metrics(rng, rows, workers, discrete, clipped)]
    if old:
        lines = [{name: value for name, value in line.items() if name not in NEW} for line in lines]
    evaluated = _evaluations(rng, rows, evaluations)
    _write_lines(path / "episodes.jsonl", [row.to_dict() for row in rows])
    _write_lines(path / "metrics.jsonl", lines)
    _write_lines(path / "evaluations.jsonl", [line.to_dict() for line in evaluated])
    if half_written:
        with (path / "episodes.jsonl").open("a") as file:
            file.write(HALF_A_LINE)
    said = {"status": status, "reason": reason if status != "running" else None}
    (path / "run.json").write_text(
        json.dumps(
            {
                "format": 2,
                **said,
                "name": path.name,
                "group": path.parent.name,
                "job_type": "sweep",
                "command": "python -m a3c_exp env=pendulum workers=4,6,12 seed=0,1,2 -m",
                "overrides": overrides,
                "seed": seed,
                "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
                "versions": {"a3c_exp": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.6"},
                "machine": {"cpu": "AMD EPYC 7763", "cores": 8, "memory_gb": 32},
                "timings": {"started": "2026-11-21T14:10:05+01:00", "ended": "2026-11-21T14:14:25+01:00"},
                "host": host or socket.gethostname(),
                "pid": os.getpid() if pid is None else pid,
                **(run_json or {}),
            }
        )
    )
    if status != "running":
        last = evaluated[-1].to_dict() if evaluated else None
        best = max(evaluated, key=lambda line: line.mean).to_dict() if evaluated else None
        steps_done, wall_time = rows[-1].env_step, rows[-1].wall_time
        summary = {
            **said,
            "episodes": episodes,
            "env_steps": steps_done,
            "updates": rows[-1].update,
            "wall_time": wall_time,
            "steps_per_second": steps_done / wall_time,
            "moving_average": curve[-1],
            "evaluation": last,
            "best_evaluation": best,
            "policy_lag": {"mean": workers - 1.0, "max": 2 * workers, "histogram": [0] * (workers - 1) + [6, 3, 1]},
            "workers": own or [],
        }
        if old:
            del summary["workers"], summary["policy_lag"]
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def write_seeds(path: Path, seeds: int = 3, **more: Any) -> Path:
    """Write a folder of ``seeds`` that trained together."""
    folders = [f"seed={seed}" for seed in range(seeds)]
    for seed, folder in enumerate(folders):
        write_run(path / folder, seed=seed, config={"num_seeds": 1, "name": None}, **more)
    (path / ".hydra").mkdir()
    (path / ".hydra" / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "num_seeds": seeds}))
    (path / "run.json").write_text(json.dumps({"format": 2, "status": "finished", "reason": None, "seeds": folders}))
    (path / "summary.json").write_text(json.dumps({"status": "finished", "reason": None, "num_seeds": seeds}))
    return path


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _episodes(rng: np.random.Generator, number: int, steps: int, workers: int) -> list[EpisodeRecord]:
    rows: list[EpisodeRecord] = []
    skill = rng.normal(0.0, 0.12)
    for index in range(number):
        progress = 1.0 - math.exp(-index * (0.5 + workers / 10.0) / 120.0)
        reward = -6.2 + (5.2 + skill - abs(workers - 6) * 0.07) * progress + rng.normal(0.0, 0.5)
        average = reward if not rows else 0.99 * rows[-1].moving_average + 0.01 * reward
        step = (index + 1) * steps
        rows.append(
            EpisodeRecord(
                episode=index + 1,
                worker=index % workers,
                return_=reward * steps,
                length=steps,
                mean_step_reward=reward,
                moving_average=average,
                env_step=step,
                update=step // 10,
                wall_time=step / (4000.0 * workers**0.7),
                end="truncated",
                env_seed=index,
            )
        )
    return rows


def _metrics(
    rng: np.random.Generator, rows: list[EpisodeRecord], workers: int, discrete: bool, clipped: bool
) -> list[MetricsRecord]:
    lines = []
    for index, row in enumerate(rows[::2]):
        left = math.exp(-index / (len(rows) / 6 + 1))
        norm = float((30.0 * left + 2.0) * rng.lognormal(0.0, 0.3))
        speeds = [400.0 + 10.0 * worker for worker in range(workers)]
        lines.append(
            replace(
                metrics_record(
                    row.env_step,
                    row.episode,
                    4000.0 * workers**0.7 * rng.uniform(0.93, 1.04),
                    loss=10.0 * left,
                    policy_loss=left,
                    value_loss=float(60.0 * left * rng.lognormal(0.0, 0.35) + 0.3),
                    entropy=1.4 * left + 0.3 + rng.normal(0.0, 0.03),
                    grad_norm=norm,
                    grad_norm_max=100.0,
                    explained_variance=None if index == 0 else 1.0 - 1.6 * left + rng.normal(0.0, 0.05),
                    value_mean=-5.0,
                    policy_lag_mean=workers - 1.0 + rng.normal(0.0, 0.15),
                    policy_lag_max=2 * workers,
                    grad_norm_clipped=min(norm, 4.0) if clipped else norm,
                    value_std=2.0,
                    entropy_normalized=left if discrete else None,
                    max_probability=1.0 - left / 2 if discrete else None,
                    truncated_share=0.05,
                ),
                update=row.update,
                wall_time=row.wall_time,
                updates_per_second=400.0,
                moving_average=row.moving_average,
                worker_steps_per_second=speeds,
                worker_updates_per_second=[speed / 10.0 for speed in speeds],
            )
        )
    return lines


def _evaluations(rng: np.random.Generator, rows: list[EpisodeRecord], number: int) -> list[EvaluationRecord]:
    lines = []
    for row in rows[:: max(1, len(rows) // number)] if number else []:
        returns = [float(value) for value in rng.normal(row.moving_average * 200.0, 120.0, 10)]
        mean, error = float(np.mean(returns)), float(np.std(returns)) / 10**0.5
        lines.append(
            EvaluationRecord(
                env_step=row.env_step,
                update=row.update,
                wall_time=row.wall_time,
                episodes=10,
                deterministic=True,
                mean=mean,
                std=float(np.std(returns)),
                median=float(np.median(returns)),
                ci_low=mean - 2 * error,
                ci_high=mean + 2 * error,
                min=min(returns),
                max=max(returns),
                mean_length=200.0,
                returns=returns,
                best=False,
            )
        )
    return lines
