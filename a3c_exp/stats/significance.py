"""What a difference between two groups of seeds proves, alone and among many others. numpy only."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

TRIM_SHARE = 0.25  # dropped at either end: what is left is the interquartile mean
_TINY = 1e-300
_MAX_TERMS = 500


@dataclass(frozen=True)
class Contrast:
    """The difference of two groups' interquartile means as Yuen's test sees it.

    Attributes:
        difference: of the interquartile means, the first group's less the second's.
        standard_error: its standard error; 0 where neither group varies.
        degrees_of_freedom: degrees of freedom of its t.
        min_p_value: the smallest p-value that any ranks of so few values could have: one in the number of ways to deal them out.
    """

    difference: float
    standard_error: float
    degrees_of_freedom: float
    min_p_value: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval of the difference, ``difference ± t standard_error``; ``(-inf, inf)`` if groups that do not vary are too
        small to be that sure of anything."""
        if self.standard_error > 0:
            reach = -t_quantile((1.0 - confidence) / 2.0, self.degrees_of_freedom) * self.standard_error
            return self.difference - reach, self.difference + reach
        return (self.difference, self.difference) if self.min_p_value <= (1.0 - confidence) / 2.0 else (-math.inf, math.inf)


def yuen_contrast(first: ArrayLike, second: ArrayLike) -> Contrast:
    """Yuen's test of two trimmed means (Biometrika 1974; Wilcox, "Introduction to Robust Estimation", 5.3), 25 % trimmed.

    Welch's t for groups that may vary unequally, with what outlying seeds pull on cut off; 25 % leaves the interquartile mean.
    It is ``scipy.stats.ttest_ind(ours, theirs, equal_var=False, trim=0.25)``. The groups are taken as independent even where
    they share seeds: a shared seed can only make their difference vary less, so this errs on the careful side, and it keeps the
    degrees of freedom that a correction for many tests needs more than it needs the pairs.

    Args:
        first, second: one finite number a seed, at least two each.
    """
    x, y = (np.sort(np.asarray(values, dtype=np.float64).ravel()) for values in (first, second))
    sizes, means, parts = [], [], []
    for values in (x, y):
        n, g = values.size, int(TRIM_SHARE * values.size)
        h = n - 2 * g
        middle = values[g : n - g]
        winsorised = np.clip(values, middle[0], middle[-1])
        means.append(float(middle.mean()))
        parts.append(float(np.var(winsorised, ddof=1)) * (n - 1) / (h * (h - 1)) if h > 1 else 0.0)
        sizes.append(h)
    spread = sum(parts)
    if spread <= _rounding_variance(x, y):
        return Contrast(means[0] - means[1], 0.0, math.nan, _min_p_value(x.size, y.size))
    freedom = spread**2 / sum(part**2 / (h - 1) for part, h in zip(parts, sizes, strict=True) if h > 1)
    return Contrast(means[0] - means[1], math.sqrt(spread), freedom, _min_p_value(x.size, y.size))


def bonferroni_confidence(num_intervals: int, confidence: float = 0.95) -> float:
    """The confidence that each of so many intervals needs for all of them to hold at once with ``confidence``.

    Bonferroni's, which asks nothing of how they depend on each other. That matters here: claims share runs.

    >>> round(simultaneous(100), 6)
    0.9995
    """
    return 1.0 - (1.0 - confidence) / max(1, num_intervals)


def t_tail(t: float, degrees_of_freedom: float) -> float:
    """``P(T > t)`` for Student's t with ``degrees_of_freedom`` > 0 degrees of freedom, which need not be a whole number."""
    tail = 0.5 * _incomplete_beta(degrees_of_freedom / (degrees_of_freedom + t * t), degrees_of_freedom / 2.0, 0.5)
    return tail if t >= 0 else 1.0 - tail


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The t with ``P(T < t) = probability``, in (0, 1): bisection on ``t_tail``."""
    if probability == 0.5:
        return 0.0
    if probability > 0.5:
        return -t_quantile(1.0 - probability, degrees_of_freedom)
    low, high = -2.0, 0.0
    while t_tail(-low, degrees_of_freedom) > probability:
        low *= 2.0
    while high - low > -1e-13 * low:
        middle = (low + high) / 2.0
        low, high = (middle, high) if t_tail(-middle, degrees_of_freedom) < probability else (low, middle)
    return (low + high) / 2.0


def _min_p_value(first_size: int, second_size: int) -> float:
    return 1.0 / math.comb(first_size + second_size, first_size)


def _rounding_variance(x: FloatArray, y: FloatArray) -> float:
    """Squared errors up to this come from adding floating-point numbers, not from seeds."""
    return float((1e-12 * max(np.abs(x).max(), np.abs(y).max())) ** 2)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function by its continued fraction (Lentz's method; Abramowitz and Stegun 26.5.8)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction converges quickly is the other side
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, _MAX_TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + numerator * d)
            c = _away_from_zero(1.0 + numerator / c)
            fraction *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * fraction / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
