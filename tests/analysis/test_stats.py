"""Estimates against scipy, against cases that can be done by hand, and against what must hold for any numbers."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from a3c_exp.analysis.stats import (
    bootstrap_interval,
    interquartile_mean,
    mean,
    median,
    std,
    stratified_bootstrap_interval,
)

numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


def test_hand_cases() -> None:
    assert mean([1.0, 2.0, 6.0]) == 3.0
    assert median([5.0, 1.0, 3.0, 100.0]) == 4.0
    assert std([1.0, 3.0]) == pytest.approx(math.sqrt(2.0))  # divided by n - 1
    assert interquartile_mean([-1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0]) == 3.5
    assert interquartile_mean([0.0, 0.0, 9.0]) == 3.0  # nothing to drop from three


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's own, for nearly equal values
@given(numbers)
def test_estimates_are_those_of_scipy(values: list[float]) -> None:
    x = np.array(values)
    assert mean(values) == pytest.approx(scipy.stats.tmean(x), rel=1e-9, abs=1e-6)
    assert std(values) == pytest.approx(scipy.stats.tstd(x), rel=1e-9, abs=1e-6)
    assert median(values) == pytest.approx(scipy.stats.quantile(x, 0.5), rel=1e-9, abs=1e-6)
    assert float(interquartile_mean(values)) == pytest.approx(scipy.stats.trim_mean(x, 0.25), rel=1e-9, abs=1e-6)


def test_interquartile_mean_reduces_the_axis_it_was_told() -> None:
    values = np.random.default_rng(0).normal(size=(8, 5))
    assert np.allclose(interquartile_mean(values, axis=0), scipy.stats.trim_mean(values, 0.25, axis=0))
    assert np.allclose(interquartile_mean(values, axis=-1), scipy.stats.trim_mean(values, 0.25, axis=1))


@pytest.mark.parametrize("statistic", [np.mean, np.median, interquartile_mean])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_scipys(statistic: object, confidence: float) -> None:
    values = np.random.default_rng(3).normal(10.0, 3.0, 12)
    ours = bootstrap_interval(values, statistic, confidence)  # type: ignore[arg-type]
    theirs = scipy.stats.bootstrap(
        (values,), statistic, method="percentile", confidence_level=confidence, n_resamples=10_000, rng=1
    ).confidence_interval
    assert np.allclose(ours, theirs, atol=0.02 * (theirs.high - theirs.low) + 0.05)


def test_one_seed_has_no_interval_and_no_spread() -> None:
    for values in ([3.0], []):
        assert all(math.isnan(edge) for edge in bootstrap_interval(values))
        assert math.isnan(std(values))
    assert mean([3.0]) == 3.0
    assert math.isnan(mean([]))
    assert math.isnan(median([]))


def test_a_nan_is_not_silently_dropped() -> None:
    assert all(math.isnan(edge) for edge in bootstrap_interval([1.0, math.nan, 2.0]))
    assert math.isnan(mean([1.0, math.nan]))


def test_three_seeds_give_their_range() -> None:
    """All three draws are the lowest in 1 of 27 resamples: more than 2.5 %, so the quantile is the lowest itself."""
    assert bootstrap_interval([1.0, 5.0, 2.0]) == (1.0, 5.0)


@given(numbers, st.integers(0, 5))
def test_the_interval_is_ordered_within_the_values_and_repeatable(values: list[float], seed: int) -> None:
    low, high = bootstrap_interval(values, resamples=200, seed=seed)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= low <= high <= max(values) + slack
    assert bootstrap_interval(values, resamples=200, seed=seed) == (low, high)


@given(numbers, st.floats(0.1, 10.0), st.floats(-100.0, 100.0))
def test_the_interval_moves_with_the_values(values: list[float], scale: float, shift: float) -> None:
    low, high = bootstrap_interval(values, resamples=200)
    moved = bootstrap_interval([scale * value + shift for value in values], resamples=200)
    assert moved == pytest.approx((scale * low + shift, scale * high + shift), rel=1e-6, abs=1e-3)


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    intervals = [bootstrap_interval(rng.normal(size=20), resamples=500, seed=i) for i in range(300)]
    covered = np.mean([low <= 0.0 <= high for low, high in intervals])
    assert 0.87 <= covered <= 0.97  # 0.93 for 20 values: percentile intervals are a little narrow


def test_strata_keep_their_sizes_so_differences_between_tasks_are_not_spread() -> None:
    easy, hard = [100.0, 100.1, 99.9], [0.0, 0.1, -0.1, 0.05]
    low, high = stratified_bootstrap_interval([easy, hard])
    assert high - low < 0.2
    pooled = bootstrap_interval(easy + hard)
    assert pooled[1] - pooled[0] > 50.0


def test_a_stratum_of_one_seed_has_no_interval() -> None:
    assert math.isnan(stratified_bootstrap_interval([[1.0, 2.0], [3.0]])[0])
    assert math.isnan(stratified_bootstrap_interval([])[0])


def test_one_stratum_is_the_plain_bootstrap_and_chunks_do_not_matter() -> None:
    values = np.random.default_rng(0).normal(size=400)  # 4 million draws: several chunks
    low, high = bootstrap_interval(values)
    error = float(np.std(values)) / 20.0
    assert stratified_bootstrap_interval([values]) == (low, high)
    assert (high - low) / 2.0 == pytest.approx(1.96 * error, rel=0.05)


def test_a_percentage_is_not_taken_for_a_share() -> None:
    with pytest.raises(ValueError, match=r"did you mean 0\.95"):
        bootstrap_interval([1.0, 2.0], confidence=95)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval([1.0, 2.0], resamples=0)
