"""Seeds of one configuration are put together, and nothing else is; curves are aligned without making points up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.curves import Curve, align, band_members, lag_shares, mean_band, quartile_band, run_curve
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.runs.config_values import flatten_as_text
from tests.support.synthetic_runs import write_run, write_seeds


def a_run(status: str = "finished", **columns: list[float]) -> RunData:
    """A run in memory: curves need no more than its columns and its status."""
    table = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    return in_memory(status=status, episodes=table, metrics=table, evaluations=table)


def in_memory(**attributes: object) -> RunData:
    """A run of which only that is known which a test needs."""
    run = RunData.__new__(RunData)
    vars(run).update({"path": Path("run"), "config": {}, "run_json": {}, "summary_json": {}, **attributes})
    return run


def a_curve(x: list[float], y: list[float], status: str = "finished") -> Curve:
    return Curve(a_run(status), np.array(x, dtype=np.float64), np.array(y, dtype=np.float64))


def test_seeds_are_put_together_and_configurations_kept_apart(tmp_path: Path) -> None:
    runs = [
        RunData(write_run(tmp_path / f"{workers},{seed}", workers=workers, seed=seed, episodes=3))
        for workers in (12, 4)
        for seed in (1, 0)
    ]
    comparison = group_by_configuration(runs)
    assert comparison.varying_keys == ("workers",)
    assert comparison.title == "workers"
    assert [item.short_label for item in comparison.configurations] == ["4", "12"]
    assert [[run.seed for run in item.runs] for item in comparison.configurations] == [["0", "1"], ["0", "1"]]
    assert comparison.configurations[1].values == (("workers", "12"),)


def test_seeds_that_trained_together_and_one_that_trained_alone_are_one_configuration(tmp_path: Path) -> None:
    write_seeds(tmp_path / "many", episodes=3, overrides=["num_seeds=3"])
    write_run(
        tmp_path / "alone", seed=9, episodes=3, config={"num_seeds": 1, "name": "mine"}, overrides=["seed=9", "name=mine"]
    )
    (configuration,) = group_by_configuration(read_runs([tmp_path])).configurations
    assert (configuration.label, configuration.num_seeds) == ("default configuration", 4)


@given(st.lists(st.lists(st.integers(0, 50), max_size=6), min_size=1, max_size=4))
def test_lag_shares_are_those_of_all_pushes_together(histograms: list[list[int]]) -> None:
    runs = [in_memory(summary_json={"policy_lag": {"histogram": counts}}) for counts in histograms]
    shares = lag_shares(tuple(runs))
    pushes = [lag for counts in histograms for lag, count in enumerate(counts) for _ in range(count)]
    if not pushes:
        assert shares is None
        return
    assert shares is not None
    assert shares.x.tolist() == list(range(-1, max(pushes) + 2))
    wanted = [pushes.count(int(lag)) / len(pushes) for lag in shares.x]
    np.testing.assert_allclose(shares.y, wanted, atol=1e-12)


@pytest.mark.parametrize("histogram", [None, "many", [], [1, None], [-1, 2], [1, [2]], [0, 0], [1] * 100_000])
def test_a_histogram_that_is_none_is_left_out(histogram: object) -> None:
    summary = {"policy_lag": {"histogram": histogram}}
    run = in_memory(summary_json=summary)
    assert lag_shares((run,)) is None


def test_a_difference_that_no_override_shows_still_counts(tmp_path: Path) -> None:
    """The default may have changed between two runs of the same command."""
    one = RunData(write_run(tmp_path / "a", episodes=3))
    two = RunData(write_run(tmp_path / "b", episodes=3, config={"optimizer": {"lr": 0.01}}))
    comparison = group_by_configuration([one, two])
    assert [item.label for item in comparison.configurations] == ["optimizer.lr=0.0001", "optimizer.lr=0.01"]
    assert len(group_by_configuration([one, two], ignore=("seed", "optimizer")).configurations) == 1


def test_the_same_number_written_differently_is_the_same() -> None:
    assert dict(flatten_as_text({"a": {"lr": 1e-4, "n": 4}})) == dict(flatten_as_text({"a": {"lr": "1e-4", "n": 4.0}}))
    assert dict(flatten_as_text({"a": True})) != dict(flatten_as_text({"a": 1}))
    assert dict(flatten_as_text({"a": {}, "b": [1, None]})) == {"a": "{}", "b": "[1, null]"}


def test_many_differences_get_a_short_label(tmp_path: Path) -> None:
    one = {"optimizer": {"_target_": "Adam", "lr": 1e-3, "eps": 1e-8, "betas": [0.9, 0.99]}}
    two = {"optimizer": {"_target_": "RMSprop", "lr": 1e-3, "eps": 1e-5, "alpha": 0.99}}
    runs = [RunData(write_run(tmp_path / name, episodes=3, config=c)) for name, c in (("a", one), ("b", two))]
    labels = [item.label for item in group_by_configuration(runs).configurations]
    assert len(set(labels)) == 2
    assert all(label.count("=") == 1 and "_target_" not in label for label in labels)


def test_runs_without_a_configuration_are_no_ones_seeds(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(seed), seed=seed, episodes=3) for seed in range(3)]
    (paths[2] / ".hydra" / "config.yaml").write_text("a: [")
    comparison = group_by_configuration([RunData(path) for path in paths])
    assert sorted(len(item.runs) for item in comparison.configurations) == [1, 2]
    assert comparison.varying_keys == ()


def test_a_seed_run_twice_is_not_two_seeds(tmp_path: Path) -> None:
    runs = [RunData(write_run(tmp_path / name, seed=5, episodes=3)) for name in ("a", "b")]
    (configuration,) = group_by_configuration(runs).configurations
    assert (len(configuration.runs), configuration.num_seeds) == (2, 1)


def test_points_out_of_order_or_not_finite_do_not_bend_a_curve() -> None:
    run = a_run(env_step=[30, 10, 20, 20, 40, 50], mean=[3.0, 1.0, 9.0, 2.0, float("nan"), float("inf")])
    curve = run_curve(run, "evaluations", "mean", "env_step")
    assert curve is not None
    assert curve.x.tolist() == [10, 20, 30]
    assert curve.y.tolist() == [1.0, 2.0, 3.0]  # of two at the same place the later
    assert run_curve(a_run(env_step=[1.0], mean=[float("nan")]), "evaluations", "mean", "env_step") is None
    assert run_curve(run, "evaluations", "no such column", "env_step") is None


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e3, 1e3)), min_size=1, max_size=20, unique_by=lambda p: p[0]),
        min_size=1,
        max_size=5,
    )
)
def test_alignment_never_extrapolates(curves: list[list[tuple[int, float]]]) -> None:
    items = [a_curve([float(x) for x, _ in sorted(points)], [y for _, y in sorted(points)]) for points in curves]
    x, y = align(items, points=17)
    assert y.shape == (len(items), x.size)
    if x.size:
        assert x[0] == max(item.x[0] for item in items)
        assert x[-1] == min(item.x[-1] for item in items)
    for item, row in zip(items, y, strict=True):
        assert (row >= item.y.min() - 1e-9).all() and (row <= item.y.max() + 1e-9).all()


def test_a_straight_line_stays_one() -> None:
    lines = [a_curve([0.0, 3.0, 10.0], [0.0, 3.0, 10.0]), a_curve([1.0, 9.0], [2.0, 10.0])]
    x, y = align(lines, points=9)
    assert np.allclose(x, np.arange(1.0, 10.0))
    assert np.allclose(y, [x, x + 1.0])


def test_two_seeds_make_no_band() -> None:
    curves = [a_curve([0.0, 1.0], [float(seed), float(seed)]) for seed in range(3)]
    assert quartile_band(curves[:2]) is None
    assert mean_band(curves[:2]) is None
    band = quartile_band(curves)
    assert band is not None
    assert (band.low[0], band.middle[0], band.high[0], band.num_seeds) == (0.5, 1.0, 1.5, 3)
    interval = mean_band(curves)
    assert interval is not None
    assert (interval.low[0], interval.middle[0], interval.high[0]) == (0.0, 1.0, 2.0)


def test_a_run_that_died_early_neither_cuts_nor_bends_the_band() -> None:
    whole = [a_curve([0.0, 100.0], [float(seed), float(seed)]) for seed in range(3)]
    dead = a_curve([0.0, 60.0], [-99.0, -99.0], status="failed")
    band = quartile_band([*whole, dead])
    assert band is not None
    assert (band.x[-1], band.low[0], band.num_seeds) == (100.0, 0.5, 3)


def test_running_seeds_make_a_band_over_what_all_have() -> None:
    curves = [a_curve([0.0, float(end)], [0.0, 1.0], status="running") for end in (100, 80, 60, 10)]
    assert [item.x[-1] for item in band_members(curves)] == [100.0, 80.0, 60.0]
    band = quartile_band(curves)
    assert band is not None
    assert band.x[-1] == pytest.approx(60.0)


def test_curves_that_share_no_range_make_no_band() -> None:
    assert quartile_band([a_curve([0.0, 6.0], [0.0, 0.0]), a_curve([5.0, 7.0], [0, 0]), a_curve([8.0, 9.0], [0, 0])]) is None
