"""Yuen's test against scipy's, and whether many intervals hold together as often as they say."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.special import stdtr

from a3c_exp.stats.significance import bonferroni_confidence, yuen_contrast


@pytest.mark.parametrize(("n", "m"), [(10, 10), (5, 5), (7, 12), (4, 30), (3, 3)])
def test_the_contrast_is_scipys_trimmed_test(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.standard_t(3, size=m) * 2.0 + 1.0
    contrast, known = yuen_contrast(x, y), scipy.stats.ttest_ind(x, y, equal_var=False, trim=0.25)
    assert contrast.difference / contrast.standard_error == pytest.approx(known.statistic)
    assert contrast.degrees_of_freedom == pytest.approx(known.df)
    assert 2.0 * stdtr(contrast.degrees_of_freedom, -abs(known.statistic)) == pytest.approx(known.pvalue)
    for confidence in (0.95, 0.9995):
        assert contrast.interval(confidence) == pytest.approx(tuple(known.confidence_interval(confidence)))


def test_the_difference_is_that_of_interquartile_means() -> None:
    contrast = yuen_contrast([0.0, 1.0, 2.0, 900.0], [5.0, 6.0, 7.0, -800.0])
    assert contrast.difference == pytest.approx(1.5 - 5.5)


def test_groups_that_do_not_vary_are_as_sure_as_their_ranks_and_no_surer() -> None:
    ten = yuen_contrast([2.0] * 10, [1.0] * 10)
    assert ten.standard_error == 0.0 and ten.interval(0.999) == (1.0, 1.0)
    assert ten.interval(1.0 - 1e-7) == (-math.inf, math.inf)  # 20 values can be dealt out in 184 756 ways only
    five = yuen_contrast([2.0] * 5, [1.0] * 5)
    assert five.interval(0.95) == (1.0, 1.0) and five.interval(0.999) == (-math.inf, math.inf)
    rounding = yuen_contrast([0.1 + 0.2] * 10, [0.3] * 10)
    assert rounding.standard_error == 0.0


def test_one_outlying_seed_does_not_decide() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(1.0, 0.2, 10), rng.normal(0.0, 0.2, 10)
    x[3] = -1000.0
    low, _ = yuen_contrast(x, y).interval(0.999)
    assert low > 0.0
    assert scipy.stats.ttest_ind(x, y, equal_var=False).pvalue > 0.05


def test_more_comparisons_ask_for_more_confidence() -> None:
    assert bonferroni_confidence(1) == pytest.approx(0.95)
    assert bonferroni_confidence(0) == pytest.approx(0.95)
    assert bonferroni_confidence(200) == pytest.approx(1.0 - 0.05 / 200)


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_all_intervals_hold_together_as_often_as_they_say(kind: str) -> None:
    """Families of 40 differences between groups of ten seeds, one of each pair three times as spread as the other."""
    rng = np.random.default_rng(9)
    draw = {
        "normal": lambda shape: rng.normal(size=shape),
        "heavy": lambda shape: rng.standard_t(3, size=shape),
        "skewed": lambda shape: rng.gumbel(size=shape),
    }[kind]
    families, members, seeds = 150, 40, 10
    x, y = draw((families, members, seeds)), draw((families, members, seeds))
    if kind != "skewed":
        y = 3.0 * y  # of a skewed one the interquartile means would differ then
    tail = (1.0 - bonferroni_confidence(members)) / 2.0
    whole = 0
    for family in range(families):
        contrasts = [yuen_contrast(sample, other) for sample, other in zip(x[family], y[family], strict=True)]
        whole += all(
            stdtr(contrast.degrees_of_freedom, -abs(contrast.difference) / contrast.standard_error) >= tail
            for contrast in contrasts
        )  # 0 is in its interval
    assert whole / families >= 0.90
