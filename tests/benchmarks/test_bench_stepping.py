"""What a step is taken apart into is the whole of it, and every part was really found."""

import time

from benchmarks.suites.stepping import _ROUNDS_WARM_UP, PARTS, StepBreakdown


def test_the_parts_are_the_whole_and_none_is_missing() -> None:
    apart = StepBreakdown(["compile=false"])
    began = time.perf_counter()
    found = apart.measure(0.3)
    took = time.perf_counter() - began
    assert list(found) == list(PARTS)
    assert min(found.values()) > 0, "a part was timed within another twice, or not at all"
    steps = int(apart.training.counters.env_steps()) - _ROUNDS_WARM_UP * apart.training.steps
    assert sum(found.values()) * 1e-6 * steps <= took
