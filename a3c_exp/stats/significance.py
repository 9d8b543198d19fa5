"""What a difference between two groups of seeds proves, alone and among many others."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

MIN_VERDICT_SEEDS = 5  # fewer in either group, and a difference gets no verdict
_TRIM_SHARE = 0.25  # dropped at either end: what is left is the interquartile mean


@dataclass(frozen=True)
class Contrast:
    """The difference of two groups' interquartile means as Yuen's test sees it."""

    difference: float  #: of the interquartile means, the first group's less the second's
    standard_error: float  #: its standard error; 0 where neither group varies
    degrees_of_freedom: float  #: degrees of freedom of its t
    min_p_value: float  #: the smallest p-value that any ranks of so few values could have: one over the number of their orders

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
    It is ``scipy.stats.ttest_ind(first, second, equal_var=False, trim=0.25)``. The groups, of at least two finite numbers
    each, are taken as independent even where they share seeds: a shared seed can only make their difference vary less, so this
    errs on the careful side, and it keeps the degrees of freedom that a correction for many tests needs more than the pairs.
    """
    x, y = (np.sort(np.asarray(values, dtype=np.float64).ravel()) for values in (first, second))
    sizes, means, parts = [], [], []
    for values in (x, y):
        n, g = values.size, int(_TRIM_SHARE * values.size)
        h = n - 2 * g
        middle = values[g : n - g]
        winsorized = np.clip(values, middle[0], middle[-1])
        means.append(float(middle.mean()))
        parts.append(float(np.var(winsorized, ddof=1)) * (n - 1) / (h * (h - 1)) if h > 1 else 0.0)
        sizes.append(h)
    difference, spread, min_p_value = means[0] - means[1], sum(parts), 1.0 / math.comb(x.size + y.size, x.size)
    rounding = 1e-12 * max(np.abs(x).max(), np.abs(y).max())
    if spread <= rounding**2:  # which comes from adding floating-point numbers, not from seeds
        return Contrast(difference, 0.0, math.nan, min_p_value)
    freedom = spread**2 / sum(part**2 / (h - 1) for part, h in zip(parts, sizes, strict=True) if h > 1)
    return Contrast(difference, math.sqrt(spread), freedom, min_p_value)


def bonferroni_confidence(num_intervals: int, confidence: float = 0.95) -> float:
    """The confidence that each of so many intervals needs for all of them to hold at once with ``confidence``.

    Bonferroni's, which asks nothing of how they depend on each other. That matters here: claims share runs.

    >>> round(bonferroni_confidence(100), 6)
    0.9995
    """
    return 1.0 - (1.0 - confidence) / max(1, num_intervals)
