"""Predicted wall times: what can be done by hand, what must hold, and what a damaged file does."""

import json
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.config.ablation import WallTimeTraining
from a3c_exp.report.ablations.wall_time_model import (
    COSTS_FILE,
    MeasuredCosts,
    find_costs,
    predict_seconds,
    predict_wall_times,
    read_costs,
)
from a3c_exp.report.run_reader import read_runs
from tests.support.synthetic_ablations import Way, write_arm


def costs(stacking: float = 0.25) -> MeasuredCosts:
    """A window costs 1 ms alone, and each one more of the same process only ``stacking`` of that."""
    workers = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 12.0])
    whole = 1e-3 * (1.0 + stacking * (workers - 1.0))
    part = np.repeat(whole[:, None], 5, axis=1)
    return MeasuredCosts(10, "", workers, 0.5 * part, 0.4 * part, np.full((6, 5), 1e-4))


def test_one_process_a_worker_is_as_fast_as_it_has_cores() -> None:
    windows = 10_000.0
    assert predict_seconds(costs(), 12, 12, windows, stacked=False)[0] == pytest.approx(10.0 / 12.0)
    assert predict_seconds(costs(), 4, 12, windows, stacked=False)[0] == pytest.approx(10.0 / 4.0)
    assert (
        predict_seconds(costs(), 12, 2, windows, stacked=False)[0] == predict_seconds(costs(), 4, 2, windows, stacked=False)[0]
    )


def test_stacked_workers_share_a_process_and_its_cost() -> None:
    two = predict_seconds(costs(), 12, 2, 10_000.0, stacked=True)[0]  # two processes of six: 2.25 * 0.9 / 6 + 0.1 ms a window
    assert two == pytest.approx(10.0 * (0.9 * 2.25 / 6 + 0.1) / 2)
    assert predict_seconds(costs(), 12, 12, 10_000.0, stacked=True)[0] == pytest.approx(10.0 / 12.0)
    uneven = predict_seconds(costs(), 5, 2, 10_000.0, stacked=True)[0]  # three and two workers
    assert uneven == pytest.approx(10.0 / (1.0 / (0.9 * 1.5 / 3 + 0.1) + 1.0 / (0.9 * 1.25 / 2 + 0.1)))


def test_whether_fewer_workers_take_longer_depends_on_the_machine() -> None:
    claims = {
        (time.stacked, time.change, time.cores): time
        for time in predict_wall_times(costs(), [(12, 6), (12, 4)], WallTimeTraining(1000, 4000, 12))
    }
    on_twelve_cores = claims[False, (12, 4), 12]
    assert on_twelve_cores.ratio == pytest.approx(3.0) and on_twelve_cores.decision == "supported"
    assert claims[False, (12, 6), 12].ratio == pytest.approx(2.0)
    assert claims[False, (12, 4), 2].decision == "not supported"
    assert claims[False, (12, 4), 4].ratio == pytest.approx(1.0)
    assert claims[False, (12, 4), 8].ratio == pytest.approx(2.0)
    assert on_twelve_cores.before == pytest.approx(400_000 * 1e-3 / 12)
    assert claims[True, (12, 4), 2].ratio > 1.0  # fewer to stack


def test_costs_are_found_above_the_runs_and_damage_is_no_cost(tmp_path: Path) -> None:
    write_arm(tmp_path / "sweep", "worker_count", "published", "workers_4", Way(), seeds=2)
    runs = read_runs([tmp_path])
    assert find_costs(runs) is None
    row = {"workers": 1, "rollout": [1e-3, 2e-3], "gradient": [1e-3, 1e-3], "update": [1e-4, 1e-4]}
    (tmp_path / "sweep" / COSTS_FILE).write_text(
        json.dumps({"n_step": 10, "costs": [row], "machine": {"cpu": "a Xeon"}, "host": "here"})
    )
    costs = find_costs(runs)
    assert costs is not None and costs.host == "a Xeon, here"
    assert costs.seconds_per_window(1) == pytest.approx([2.1e-3, 3.1e-3])
    for damage in (
        "",
        "[]",
        '{"costs": 3}',
        '{"n_step": 10, "costs": []}',
        json.dumps({"n_step": 10, "costs": [{"workers": 1}]}),
    ):
        (tmp_path / "sweep" / COSTS_FILE).write_text(damage)
        assert read_costs(tmp_path / "sweep" / COSTS_FILE) is None
