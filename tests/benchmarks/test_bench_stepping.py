"""The parts of a step add up to the step, and every part is timed."""

import time

from benchmarks.suites.stepping import _ROUNDS_WARM_UP, PARTS, StepBreakdown


def test_the_parts_add_up_and_none_is_missing() -> None:
    breakdown = StepBreakdown(["compile=false"])
    start = time.perf_counter()
    parts = breakdown.measure(0.3)
    duration = time.perf_counter() - start
    assert list(parts) == list(PARTS)
    assert min(parts.values()) > 0, "a part was timed within another twice, or not at all"
    steps = int(breakdown.training.counters.env_steps()) - _ROUNDS_WARM_UP * breakdown.training.steps
    assert sum(parts.values()) * 1e-6 * steps <= duration
