"""What a difference between two groups of seeds proves, alone and among many others."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

TRIM_SHARE = 0.25  # dropped at either end: what is left is the interquartile mean


@dataclass(frozen=True)
class Contrast:
    """The difference of two groups' interquartile means as Yuen's test sees it.

    Attributes:
        difference: of the interquartile means, the first group's less the second's.
        standard_error: its standard error; 0 where neither group varies.
        degrees_of_freedom: degrees of freedom of its t.
        min_p_value: the smallest p-value that any ranks of so few values could have: one over the number of their orders.
    """

    difference: float
    standard_error: float
    degrees_of_freedom: float
    min_p_value: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval ``difference ± t standard_error``; ``(-inf, inf)`` for groups that do not vary and are too small
        for such confidence."""
        if self.standard_error > 0:
            from scipy.special import stdtrit  # a report without tests need not wait for it

            reach = -float(stdtrit(self.degrees_of_freedom, (1.0 - confidence) / 2.0)) * self.standard_error
            return self.difference - reach, self.difference + reach
        return (self.difference, self.difference) if self.min_p_value <= (1.0 - confidence) / 2.0 else (-math.inf, math.inf)


def yuen_contrast(first: ArrayLike, second: ArrayLike) -> Contrast:
    """Yuen's test of two trimmed means (Biometrika 1974; Wilcox, "Introduction to Robust Estimation", 5.3), 25 % trimmed.

    Welch's t for groups that may vary unequally, with what outlying seeds pull on cut off; 25 % leaves the interquartile mean.
    It is ``scipy.stats.ttest_ind(first, second, equal_var=False, trim=0.25)``. The groups are taken as independent even where
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
        winsorized = np.clip(values, middle[0], middle[-1])
        means.append(float(middle.mean()))
        parts.append(float(np.var(winsorized, ddof=1)) * (n - 1) / (h * (h - 1)) if h > 1 else 0.0)
        sizes.append(h)
    spread = sum(parts)
    if spread <= _rounding_variance(x, y):
        return Contrast(means[0] - means[1], 0.0, math.nan, _min_p_value(x.size, y.size))
    freedom = spread**2 / sum(part**2 / (h - 1) for part, h in zip(parts, sizes, strict=True) if h > 1)
    return Contrast(means[0] - means[1], math.sqrt(spread), freedom, _min_p_value(x.size, y.size))


def bonferroni_confidence(num_intervals: int, confidence: float = 0.95) -> float:
    """The confidence that each of so many intervals needs for all of them to hold at once with ``confidence``.

    Bonferroni's, which asks nothing of how they depend on each other. That matters here: claims share runs.

    >>> round(bonferroni_confidence(100), 6)
    0.9995
    """
    return 1.0 - (1.0 - confidence) / max(1, num_intervals)


def _min_p_value(first_size: int, second_size: int) -> float:
    return 1.0 / math.comb(first_size + second_size, first_size)


def _rounding_variance(x: FloatArray, y: FloatArray) -> float:
    """Squared errors up to this come from adding floating-point numbers, not from seeds."""
    return float((1e-12 * max(np.abs(x).max(), np.abs(y).max())) ** 2)
