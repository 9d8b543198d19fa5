"""Intervals that are looked at again and again fail no more often than they say, and sizes are those at which they decide."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from a3c_exp.stats.sequential import SPENDING_POWER, boundary_levels, look_levels, seeds_to_decide
from a3c_exp.stats.significance import Contrast, yuen_contrast

SIZES = (10, 20, 30, 40, 50, 60)
FloatArray = NDArray[np.float64]


def contrasts(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``yuen_contrast`` of the last axis of many pairs at once: differences, standard errors, degrees of freedom."""
    means, parts, h = [], [], 0
    for values in (np.sort(x, axis=-1), np.sort(y, axis=-1)):
        n = values.shape[-1]
        h = n - 2 * (n // 4)
        middle = values[..., n // 4 : n - n // 4]
        winsorized = np.clip(values, middle[..., :1], middle[..., -1:])
        means.append(middle.mean(axis=-1))
        parts.append(winsorized.var(axis=-1, ddof=1) * (n - 1) / (h * (h - 1)))
    spread = parts[0] + parts[1]
    return means[0] - means[1], np.sqrt(spread), spread**2 * (h - 1) / (parts[0] ** 2 + parts[1] ** 2)


def looks(x: FloatArray, y: FloatArray, levels: tuple[float, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Effects and the lower and upper ends of their intervals at every look, ``[looks, pairs]``."""
    found = []
    for size, level in zip(SIZES, levels, strict=True):
        effect, error, freedom = contrasts(x[:, :size], y[:, :size])
        reach = -stdtrit(freedom, level / 2) * error
        found.append((effect, effect - reach, effect + reach))
    effects, low, high = np.array(found).transpose(1, 0, 2)
    return effects, low, high


@pytest.mark.parametrize(
    ("spent", "known"),
    [
        ([2 * (2 - 2 * 0.5 * math.erfc(ndtri(0.0125) / math.sqrt(2 * t))) for t in (0.2, 0.4, 0.6, 0.8, 1.0)],
         [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),  # O'Brien and Fleming's kind
        ([0.05 * math.log(1 + (math.e - 1) * t) for t in (0.2, 0.4, 0.6, 0.8, 1.0)],
         [2.4380, 2.4268, 2.4102, 2.3966, 2.3859]),  # Pocock's kind
    ],
)  # fmt: skip
def test_boundaries_are_the_published_ones_of_lan_and_demets(spent: list[float], known: list[float]) -> None:
    levels = boundary_levels((0.2, 0.4, 0.6, 0.8, 1.0), spent)
    assert [-ndtri(level / 2) for level in levels] == pytest.approx(known, abs=2e-4)


def test_as_much_is_spent_at_each_look_as_was_planned() -> None:
    rng, sizes = np.random.default_rng(1), (5, 9, 20, 32)
    steps = rng.normal(size=(200_000, 4)) * np.sqrt(np.diff(sizes, prepend=0))
    z = np.cumsum(steps, axis=1) / np.sqrt(sizes)
    crossed = np.logical_or.accumulate(np.abs(z) > -ndtri(np.array(look_levels(sizes, 0.1)) / 2), axis=1).mean(axis=0)
    assert crossed == pytest.approx([0.1 * (size / 32) ** SPENDING_POWER for size in sizes], abs=0.003)


def test_one_look_is_an_interval_as_ever() -> None:
    assert look_levels((10,), 0.05 / 84) == (0.05 / 84,)


def test_many_contrasts_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3, 10))
    for index, (difference, error, freedom) in enumerate(zip(*contrasts(x, y), strict=True)):
        single = yuen_contrast(x[index], y[index])
        known = (single.difference, single.standard_error, single.degrees_of_freedom)
        assert (difference, error, freedom) == pytest.approx(known)


@pytest.mark.parametrize("kind", ["normal", "unequal", "heavy", "skewed"])
@pytest.mark.parametrize("error", [0.05, 0.005])
def test_all_looks_hold_together_as_often_as_they_say_and_ordinary_intervals_do_not(kind: str, error: float) -> None:
    rng, pairs = np.random.default_rng(3), 2500
    heavy, skewed = kind == "heavy", kind == "skewed"
    shape = (2, pairs, SIZES[-1])
    x, y = rng.standard_t(3, shape) if heavy else rng.gumbel(size=shape) if skewed else rng.normal(size=shape)
    y = 3.0 * y if kind == "unequal" else y
    _, low, high = looks(x, y, look_levels(SIZES, error))
    missed = ((low > 0) | (high < 0)).any(axis=0).mean()
    assert missed <= error + 3.0 * math.sqrt(error / pairs)
    _, low, high = looks(x, y, (error,) * len(SIZES))
    assert ((low > 0) | (high < 0)).any(axis=0).mean() > 1.7 * error


@pytest.mark.parametrize(
    ("effect", "margin", "decided_by", "seeds"),
    [(0.0, 1.5, "within", 35.0), (0.0, 1.0, "within", 56.0), (3.0, 1.0, "above", 25.0), (1.5, 1.0, "above", 40.0)],
)
def test_what_is_there_is_found_and_what_is_not_is_not(effect: float, margin: float, decided_by: str, seeds: float) -> None:
    """In standard deviations of a seed, for one comparison of twenty: clear effects early, their absence by equivalence."""
    rng, pairs = np.random.default_rng(4), 400
    x, y = rng.normal(size=(2, pairs, SIZES[-1]))
    effects, low, high = looks(x + effect, y, look_levels(SIZES, 0.05 / 20))
    answers = {"above": (low > 0) & (effects >= margin), "within": (low > -margin) & (high < margin)}
    first = {name: np.where(answer.any(axis=0), answer.argmax(axis=0), len(SIZES)) for name, answer in answers.items()}
    right, wrong = first[decided_by], first["within" if decided_by == "above" else "above"]
    assert (wrong < np.minimum(right, len(SIZES))).mean() <= 0.005
    assert (right < len(SIZES)).mean() > 0.8
    assert np.array([*SIZES, SIZES[-1]])[right].mean() < seeds


def test_a_size_is_the_one_at_which_four_of_five_decide() -> None:
    """With the truth for a pilot, whose effect and error are exactly those of its groups."""
    rng, level, effect, pilot = np.random.default_rng(5), 0.01, 1.2, 12
    x, y = rng.normal(size=(2, 20_000, pilot))
    error = float(contrasts(x, y)[0].std())
    needed = seeds_to_decide(Contrast(effect, error, 2.0 * (pilot // 2 - 1), 0.0), pilot, effect, level)
    x, y = rng.normal(size=(2, 2000, int(needed)))
    difference, errors, freedom = contrasts(x + effect, y)
    assert (difference + stdtrit(freedom, level / 2) * errors > 0).mean() == pytest.approx(0.8, abs=0.06)


def test_a_size_grows_with_spread_and_closeness_and_may_be_out_of_reach() -> None:
    contrast = Contrast(1.0, 0.5, 10.0, 0.0)
    sizes = [seeds_to_decide(contrast, 10, distance, 0.01) for distance in (2.0, 1.0, 0.5, 0.01)]
    assert sizes == sorted(sizes) and sizes[0] >= 11 and sizes[-1] == math.inf
    assert math.isnan(seeds_to_decide(Contrast(1.0, 0.0, math.nan, 0.1), 10, 1.0, 0.01))
    wider = Contrast(1.0, 1.0, 10.0, 0.0)
    assert seeds_to_decide(wider, 10, 1.0, 0.01) > sizes[1]
