"""What a round is taken apart into is the whole of it, every call is found, and the parts are counted once."""

import time

import pytest

from a3c_exp.parallelism import worker_group as workers
from benchmarks.harness.profile_parts import PartTimer
from benchmarks.suites import rounds
from benchmarks.suites.rounds import PARTS, HogwildTraining, RoundBreakdown, SynchronousTraining, breakdown_settings
from tests.support.walker import Walker


def test_time_within_a_part_counts_for_the_innermost_alone() -> None:
    watch = PartTimer()
    inner = watch.timed(lambda: time.sleep(0.02), "inner")

    def outer() -> None:
        inner()
        inner()
        time.sleep(0.01)

    began = time.perf_counter()
    watch.timed(outer, "outer")()
    took = time.perf_counter() - began
    assert watch.calls == {"inner": 2, "outer": 1}
    assert watch.seconds["inner"] >= 0.04
    assert watch.seconds["outer"] >= 0.01
    assert sum(watch.seconds.values()) <= took
    watch.clear()
    assert not watch.seconds
    assert not watch.calls


@pytest.mark.parametrize("make", [lambda: HogwildTraining(12, 2), SynchronousTraining])
def test_the_parts_are_the_whole_and_none_is_missing(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Compiler", Walker)
    monkeypatch.setattr(rounds, "_WARM_UP", 0.1)
    monkeypatch.setattr(rounds, "_ROUNDS_PER_CLOCK_CHECK", 3)
    apart = RoundBreakdown(make)
    began = time.perf_counter()
    found = apart.measure(0.3)
    took = time.perf_counter() - began
    calls = apart._timer.calls
    number, steps = calls["learning"], apart._training.steps
    assert list(found) == list(PARTS)
    assert min(found.values()) > 0
    assert sum(found.values()) * 1e-6 * number <= took
    n_step = {60: 10, 30: 5}[steps]
    assert calls["acting"] == number * (n_step + 1), "a call for each step, and one that turns weights"
    assert calls["pushing"] == number


def test_each_setting_is_held_against_the_products_of_its_own_network() -> None:
    for name, (_, network) in breakdown_settings().items():
        assert f"{network.workers * network.n_step} steps" in name
