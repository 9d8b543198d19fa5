"""Looking at a comparison again and again while seeds are added, and how many more of them it would take.

Who looks at an ordinary 95 % interval after every batch of seeds, and stops when it pleases, is wrong far more often than in
five of 100 cases. Here the error that a comparison may make is *spent* over looks that are planned beforehand (Lan and DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 1983). The intervals that follow hold at all looks at once, so
whatever is asked of them at whichever look, above nothing, below what matters, within the margin, is answered as rarely
wrongly as was planned: "repeated confidence intervals", Jennison and Turnbull (JRSS B 1989; for equivalence, Statistics in
Medicine 1993).
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from a3c_exp.stats.significance import Contrast, FloatArray

SPENDING_POWER = 2.0
"""After a share t of the seeds, ``t ** SPENDING_POWER`` of the error is spent (Kim and DeMets, Biometrika 1987).

Between Pocock's boundaries (about 1) and O'Brien and Fleming's (about 3, and much less at first), which leave next to nothing
for early looks: little lost for normal data, but with ten seeds t has some ten degrees of freedom, and what is far out in its
tails lies ever farther. Of eighty comparisons, an interval after 10 of 60 seeds reaches 7.7 standard errors by this, and by
O'Brien and Fleming's nobody could ever be sure so early; after 60 seeds it is 6 % wider than one without looks."""

_GRID = 201  # points of the integral over what has crossed no boundary yet
_POWER = 0.8  # how probably so many seeds decide
MOST_SEEDS = 1000  # more are not worth a number


@cache
def look_levels(sizes: tuple[int, ...], error: float) -> tuple[float, ...]:
    """Two-sided levels by which intervals at looks after so many seeds, increasing, fail to hold at any of them in ``error``.

    An interval of confidence ``1 - level`` each, as of Student's t: "significance levels" carry the boundaries of normal
    sums over to t (Jennison and Turnbull, "Group Sequential Methods", 2000, section 3.8).

    >>> [round(level, 4) for level in look_levels((10, 20, 30, 40, 50, 60), 0.05)]
    [0.0014, 0.0046, 0.0092, 0.0153, 0.0233, 0.0331]
    >>> look_levels((10,), 0.05)
    (0.05,)
    """
    fractions = [size / sizes[-1] for size in sizes]
    return boundary_levels(fractions, [error * fraction**SPENDING_POWER for fraction in fractions])


def boundary_levels(fractions: Sequence[float], spent: Sequence[float]) -> tuple[float, ...]:
    """Two-sided levels of looks at ``fractions`` of the information at which errors that add up to ``spent`` are made.

    Armitage, McPherson and Rowe's recursion (JRSS A 1969): the density of a sum of normal increments that has crossed no
    boundary so far is integrated over the next increment, and the next boundary is where as much lies beyond as is to be spent.

    Args:
        fractions: increasing, each above 0.
        spent: probability of having crossed a boundary by then, on either side, increasing and below 1.
    """
    from scipy.special import ndtr

    if len(fractions) == 1:  # nothing to integrate, and no rounding
        return (float(spent[0]),)
    levels = list[float]()
    points, density, before = np.zeros(1), np.ones(1), 0.0  # the density carries the weights of the integral
    for fraction, increment in zip(fractions, np.diff(spent, prepend=0.0), strict=True):
        scale = math.sqrt(fraction - before)

        def beyond(edge: float, points: FloatArray = points, density: FloatArray = density, scale: float = scale) -> float:
            return float(density @ (ndtr((points - edge) / scale) + ndtr((-edge - points) / scale)))

        edge = _bisect(beyond, float(increment), 40.0 * math.sqrt(fraction))
        levels.append(2.0 * float(ndtr(-edge / math.sqrt(fraction))))
        nodes, weights = _quadrature()
        following = edge * nodes
        steps = (following[:, None] - points) / scale
        density = edge * weights * (np.exp(-0.5 * steps**2) @ density) / (scale * math.sqrt(2.0 * math.pi))
        points, before = following, fraction
    return tuple(levels)


def seeds_to_decide(contrast: Contrast, seeds: int, distance: float, level: float) -> float:
    """How many seeds a group would need for an interval that ends nearer to its middle than ``distance``, in 8 cases of 10.

    The effect and the variance of the seeds that there are, as of a pilot, are taken for the true ones, and the sum of two
    quantiles of t for the non-central one: Julious, "Sample sizes for clinical trials with Normal data" (Statistics in Medicine
    2004), for superiority, non-inferiority and equivalence alike. A pilot of few seeds errs, so this is a size and no promise.

    Args:
        contrast: the difference as it stands.
        seeds: of the smaller group that it comes from.
        distance: from the effect to what the interval has to exclude.
        level: two-sided, of the interval.

    Returns:
        A whole number above ``seeds``; infinity for more than a thousand; NaN where there is no telling, since nothing varies.
    """
    from scipy.special import stdtrit

    if not (contrast.standard_error > 0 and distance > 0 and math.isfinite(distance)):
        return math.nan
    counts = np.arange(seeds + 1, MOST_SEEDS + 1)
    freedom = contrast.degrees_of_freedom * counts / seeds
    reach = -(stdtrit(freedom, level / 2.0) + stdtrit(freedom, 1.0 - _POWER)) * contrast.standard_error
    enough = np.flatnonzero(reach * np.sqrt(seeds / counts) <= distance)
    return float(counts[enough[0]]) if enough.size else math.inf


@cache
def _quadrature() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_GRID)
    return nodes, weights


def _bisect(beyond: Callable[[float], float], target: float, high: float) -> float:
    """Where a decreasing function of a positive number takes a value."""
    low = 0.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if beyond(middle) > target else (low, middle)
    return 0.5 * (low + high)
