"""What an interval decides about one effect, and what it would take to decide."""

import math

import numpy as np

from a3c_exp.config.ablation import Expected
from a3c_exp.report.ablations.effect_estimates import Decision, decide, distance_to_decision


def test_each_answer_is_given_where_its_definition_says() -> None:
    assert decide(1.0, (0.2, 1.8), 0.5) == "supported"
    assert decide(0.4, (0.2, 0.8), 0.5) == "undecided"  # surely more than nothing, and perhaps not clear
    assert decide(0.2, (0.1, 0.3), 0.5) == "no difference that matters"  # surely more than nothing, and surely not clear
    assert decide(-0.1, (-0.3, 0.1), 0.5) == "no difference that matters"
    assert decide(-0.1, (-0.7, 0.4), 0.5) == "not supported"  # surely not what is claimed, and perhaps clearly the opposite
    assert decide(-1.0, (-1.8, -0.2), 0.5) == "reversed"
    assert decide(-0.2, (-0.3, -0.1), 0.5) == "no difference that matters"
    assert decide(0.1, (-0.9, 1.1), 0.5) == "undecided"
    assert decide(0.1, (-0.2, 0.4), 0.5, Expected.hardly) == "supported"
    assert decide(1.0, (0.2, 1.8), 0.5, Expected.hardly) == "not supported"
    assert decide(-1.0, (-1.8, -0.2), 0.5, Expected.hardly) == "reversed"
    assert decide(0.1, (-0.2, 0.6), 0.5, Expected.hardly) == "undecided"
    for expected in ("clear", Expected.hardly):
        assert decide(math.nan, (math.nan, math.nan), 0.5, expected) == "undecided"  # type: ignore[arg-type]
        assert decide(1.0, (-math.inf, math.inf), 0.5, expected) == "undecided"  # type: ignore[arg-type]


def test_equivalence_only_tells_apart_what_was_not_supported_and_sizes_lead_to_decisions() -> None:
    """Every other verdict is the one that there was before it; and an interval as short as a size asks for decides."""

    def before(effect: float, low: float, high: float, expected: Expected) -> Decision:
        if high < 0 and effect <= -0.5:
            return "reversed"
        if expected is Expected.hardly:
            return "not supported" if low > 0 and effect >= 0.5 else "supported" if low > -0.5 and high < 0.5 else "undecided"
        return "supported" if low > 0 and effect >= 0.5 else "not supported" if high < 0.5 else "undecided"

    rng = np.random.default_rng(0)
    for effect, reach in zip(rng.uniform(-1.5, 1.5, 2000), rng.exponential(0.4, 2000), strict=True):
        for expected in Expected:
            found = decide(effect, (effect - reach, effect + reach), 0.5, expected)
            within = effect - reach > -0.5 and effect + reach < 0.5
            assert (found == "no difference that matters") == (within and expected is Expected.clear)
            if found != "no difference that matters":
                assert found == before(effect, effect - reach, effect + reach, expected)
            distance = distance_to_decision(effect, 0.5, expected)
            nearest = decide(effect, (effect - 0.999 * distance, effect + 0.999 * distance), 0.5, expected)
            assert nearest != "undecided" and (found != "undecided" or reach >= distance)
