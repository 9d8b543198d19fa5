"""Point estimates and bootstrap intervals over a handful of seeds; ``significance`` has tests.

Few seeds are the rule in reinforcement learning, so a number without its uncertainty misleads: Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021, arXiv:2108.13264, the ``rliable``
library), from where the interquartile mean, the stratified bootstrap, the probability of improvement and performance
profiles are taken.
"""

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from a3c_exp.stats.significance import FloatArray

Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)
MIN_SEEDS = 3  # fewer say nothing about the spread between seeds
_MAX_RESAMPLED_VALUES = 1 << 20  # numbers resampled at a time: bounds the memory at about 16 MB, whatever is asked


Statistic = Callable[..., Any]
"""Reduces the last axis of an array, as ``numpy.mean``, ``numpy.median`` and ``interquartile_mean`` do with ``axis=-1``."""


def mean(values: ArrayLike) -> float:
    """Arithmetic mean, ``sum(x) / n``; NaN for no values."""
    x = _flat_array(values)
    return float(np.mean(x)) if x.size else math.nan


def std(values: ArrayLike) -> float:
    """Sample standard deviation, ``sqrt(sum((x - mean)²) / (n - 1))``; NaN for fewer than two values. Divided by n - 1, not n:
    with three seeds the other one is a fifth too small."""
    x = _flat_array(values)
    return float(np.std(x, ddof=1)) if x.size > 1 else math.nan


def interquartile_mean(values: ArrayLike, *, axis: int = -1) -> Any:
    """Mean of the middle half: ``floor(n/4)`` values are dropped at either end (Agarwal et al. 2021, section 4.3).

    As robust against outliers as the median nearly is, with much less variance. Equals
    ``scipy.stats.trim_mean(values, 0.25)``, which ``rliable`` uses; with fewer than four values it is the mean. Takes at least
    one value along ``axis``, and returns an array without that axis, a float for one-dimensional values.
    """
    x = np.sort(np.asarray(values, dtype=np.float64), axis=axis)
    n = x.shape[axis]
    return np.mean(np.take(x, range(n // 4, n - n // 4), axis=axis), axis=axis)


def bootstrap_interval(
    values: ArrayLike, statistic: Statistic = np.mean, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval (Efron 1979): resample n of n with replacement, take the statistic's quantiles.

    With fewer than ten values it is narrower than it claims (three seeds cover the true mean in about three cases of
    four, not in 95 of 100); it is still the honest choice over a standard error, which assumes normality as well.

    Args:
        values, statistic: one number a seed, and what reduces them.
        confidence: share of intervals that should cover the true value, in (0, 1).
        resamples: 10 000 leave a Monte Carlo error of about 1 % of the interval's width.
        seed: of the resampling; the same values and seed give the same interval.

    Returns:
        ``(low, high)``; ``(nan, nan)`` with fewer than two values, or any that is not finite.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}; did you mean {confidence / 100}?")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    x = _flat_array(values)
    if x.size < 2 or not np.isfinite(x).all():
        return NO_INTERVAL
    rng = np.random.default_rng(seed)
    step = max(1, _MAX_RESAMPLED_VALUES // x.size)
    sizes = [(min(step, resamples - start), x.size) for start in range(0, resamples, step)]
    estimates = [np.asarray(statistic(x[rng.integers(0, x.size, size)], axis=-1), dtype=np.float64) for size in sizes]
    return _percentiles(np.concatenate(estimates), (1.0 - confidence) / 2.0)


@cache
def expanded_confidence(confidence: float, num_values: int) -> float:
    """The confidence to ask of a percentile bootstrap over ``num_values`` (at least 2) so that it covers as often as it says.

    A resample of n values spreads too little, by sqrt((n - 1) / n), and its quantiles are a normal's where Student's t is
    called for. The corrected tail is ``Phi(-sqrt(n / (n - 1)) t(tail, n - 1))``: Hesterberg, "What Teachers Should Know about
    the Bootstrap" (2015, arXiv:1411.5279), section 4.2, "expanded percentile interval". For ten values 0.95 becomes 0.983.
    """
    from scipy.special import stdtrit

    tail = (1.0 - confidence) / 2.0
    return 1.0 - 2.0 * NormalDist().cdf(math.sqrt(num_values / (num_values - 1)) * float(stdtrit(num_values - 1, tail)))


def seed_interval(values: FloatArray) -> Interval:
    """95 % bootstrap interval of an interquartile mean over seeds, widened for few; NaN with fewer than three."""
    if values.size < MIN_SEEDS:
        return NO_INTERVAL
    return bootstrap_interval(values, interquartile_mean, expanded_confidence(0.95, values.size), resamples=4000)


def difference_interval(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic = np.mean,
    *,
    paired: bool = False,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of ``statistic(first) - statistic(second)``, ``expanded_confidence`` for few seeds.

    Args:
        first, second: one number a seed.
        paired: the i-th of both have the same seed: they are resampled together, so that what the seed does to both cancels.
            Otherwise each group is resampled by itself, keeping its size (a stratified bootstrap).
        statistic, confidence, resamples, seed: as in ``bootstrap_interval``.

    Returns:
        ``(low, high)``; ``(nan, nan)`` where either group has fewer than two values or one that is not finite.
    """
    x, y = _flat_array(first), _flat_array(second)
    if paired and x.size != y.size:
        raise ValueError(f"paired groups are of one size, got {x.size} and {y.size}")
    if min(x.size, y.size) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return NO_INTERVAL
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, x.size, (resamples, x.size))
    drawn_x, drawn_y = x[rows], y[rows if paired else rng.integers(0, y.size, (resamples, y.size))]
    tail = (1.0 - expanded_confidence(confidence, min(x.size, y.size))) / 2.0
    return _percentiles(statistic(drawn_x, axis=-1) - statistic(drawn_y, axis=-1), tail)


def probability_of_improvement(first: ArrayLike, second: ArrayLike, *, paired: bool = False) -> float:
    """How probably a run of the first group beats one of the second: ``P(X > Y) + P(X = Y) / 2`` (Agarwal et al. 2021, 4.3).

    Larger numbers are better. Where ``paired``, the i-th of both have the same seed, and only they are compared; otherwise each
    with each (Mann-Whitney's U over n m). NaN without values.
    """
    x, y = _flat_array(first), _flat_array(second)
    if not paired:
        x, y = x[:, None], y[None, :]
    won = (x > y) + 0.5 * (x == y)
    return float(won.mean()) if won.size else math.nan


def performance_profile(values: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Share of runs above each threshold: never increasing where ``thresholds [T]`` increase.

    Dolan and Moré 2002, with scores in place of times as in Agarwal et al. 2021, section 4.2: unlike a mean it shows the
    stragglers, and where one curve lies above another throughout, no choice of a statistic could say otherwise.
    """
    profile: FloatArray = (_flat_array(values)[:, None] > _flat_array(thresholds)).mean(axis=0)
    return profile


def profile_band(values: ArrayLike, thresholds: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Pointwise 95 % percentile bootstrap band of ``performance_profile``: low and high, ``[T]`` each."""
    above = (_flat_array(values)[:, None] > _flat_array(thresholds)).astype(np.float64)  # [n, T]
    n = len(above)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=2000)  # how often each run was drawn
    low, high = np.quantile(counts @ above / n, (0.025, 0.975), axis=0)
    return low, high


def _percentiles(estimates: FloatArray, tail: float) -> Interval:
    low, high = np.quantile(estimates, (tail, 1.0 - tail))
    return float(low), float(high)


def _flat_array(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64).ravel()
