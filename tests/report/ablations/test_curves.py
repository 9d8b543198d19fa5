"""Curves that the verdicts compare: in steps, by hand, and where evaluations stand on them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.report.curves import curve_metrics, learning_curve
from a3c_exp.report.run_reader import read_runs
from tests.support.synthetic_ablations import Way, write_arm

LIMIT = "max_episode_steps"
GOOD = Way(end=-0.3, speed=0.08)


def test_a_curve_in_steps_does_not_depend_on_how_long_episodes_are(tmp_path: Path) -> None:
    """A moving average over episodes looks back eight times as far where they are eight times as long."""
    calm = Way(end=-1.0, speed=0.2, spread=0.0, noise=0.0)
    for steps, episodes in ((4000, 100), (500, 800)):
        write_arm(
            tmp_path / str(steps), LIMIT, "fair", f"steps_{steps}", calm, seeds=1, steps=steps, episodes=episodes, in_steps=True
        )
    metrics = []
    for steps in (4000, 500):
        (run,) = read_runs([tmp_path / str(steps)])
        curve = learning_curve(run, "training", "env_step")
        assert curve is not None
        metrics.append(curve_metrics(curve, 400_000.0, -2.0))
    assert metrics[0].area == pytest.approx(metrics[1].area, abs=0.06)
    assert metrics[0].final == pytest.approx(metrics[1].final, abs=0.02)
    assert metrics[0].time == pytest.approx(metrics[1].time, abs=10_000.0)


def test_numbers_of_a_curve_that_can_be_done_by_hand(tmp_path: Path) -> None:
    write_arm(tmp_path, LIMIT, "published", "steps_500", GOOD, seeds=1)
    (run,) = read_runs([tmp_path])
    curve = learning_curve(run, "training", "episode")
    assert curve is not None
    ramp = replace(curve, x=np.arange(1.0, 101.0), y=np.where(np.arange(100) % 2, 1.0, -1.0) * 0.5 + np.arange(100) / 100)
    metrics = curve_metrics(ramp, 100.0, 1.0)
    assert metrics.time == 52.0 and metrics.reached_threshold  # the first of the upper points, index 51, is 0.5 + 0.51
    assert metrics.final == pytest.approx(np.mean(ramp.y[90:]))
    windows = [np.var(ramp.y[start : start + 10], ddof=1) for start in range(75, 91)]  # of ten, all within the last quarter
    assert metrics.variability == pytest.approx(math.sqrt(np.mean(windows)))
    assert not curve_metrics(ramp, 40.0, 1.0).reached_threshold and curve_metrics(ramp, 40.0, 1.0).time == 40.0


def test_evaluations_stand_where_their_episodes_were_lived(tmp_path: Path) -> None:
    """Twelve workers end twelve episodes at once: an evaluation between two such moments belongs between them."""
    write_arm(tmp_path, LIMIT, "published", "steps_500", GOOD, seeds=1, steps=500)
    (path,) = tmp_path.glob("*/seed=0/episodes.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:  # as if fifty were side by side
        row["env_step"] = 25_000 * math.ceil(row["episode"] / 50)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = read_runs([tmp_path])
    curve = learning_curve(run, "evaluation", "episode")
    assert curve is not None
    assert curve.x == pytest.approx(np.arange(1, 41) * 2.5)
