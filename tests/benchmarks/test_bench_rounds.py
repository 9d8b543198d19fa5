"""The parts of a round add up to the round, every call is timed, and none is timed twice."""

import time

import pytest

from a3c_exp.parallelism import worker_group as workers
from benchmarks.harness.profile_parts import PartTimer
from benchmarks.suites import rounds
from benchmarks.suites.rounds import PARTS, RoundBreakdown, breakdown_settings, hogwild_training, synchronous_training
from tests.support.walker import Walker


def test_time_within_a_nested_part_counts_only_for_the_innermost() -> None:
    timer = PartTimer()
    inner = timer.timed(lambda: time.sleep(0.02), "inner")

    def outer() -> None:
        inner()
        inner()
        time.sleep(0.01)

    start = time.perf_counter()
    timer.timed(outer, "outer")()
    duration = time.perf_counter() - start
    assert timer.calls == {"inner": 2, "outer": 1}
    assert timer.seconds["inner"] >= 0.04
    assert timer.seconds["outer"] >= 0.01
    assert sum(timer.seconds.values()) <= duration
    timer.clear()
    assert not timer.seconds
    assert not timer.calls


@pytest.mark.parametrize("make", [lambda: hogwild_training(12, 2), synchronous_training])
def test_the_parts_add_up_and_none_is_missing(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Compiler", Walker)
    monkeypatch.setattr(rounds, "_WARM_UP", 0.1)
    breakdown = RoundBreakdown(make)
    start = time.perf_counter()
    parts = breakdown.measure(0.3)
    duration = time.perf_counter() - start
    calls = breakdown.timer.calls
    number, steps = calls["learning"], breakdown.training.steps
    assert list(parts) == list(PARTS)
    assert min(parts.values()) > 0
    assert sum(parts.values()) * 1e-6 * number <= duration
    n_step = {60: 10, 30: 5}[steps]
    assert calls["acting"] == number * (n_step + 1), "a call for each step, and one that transposes weights"
    assert calls["pushing"] == number


def test_each_training_is_compared_with_the_products_of_its_own_network() -> None:
    for name, (_, network) in breakdown_settings().items():
        assert f"{network.workers * network.n_step} steps" in name
