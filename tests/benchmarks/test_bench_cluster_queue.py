"""The queue of worker groups before one server, against what queueing theory says."""

import math

import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.several_machines.queue import ClosedQueue, Stage

seconds = st.floats(0.001, 1.0)


def machine_repair(groups: int, think: float, service: float) -> float:
    """Calls per second with exponential times (Erlang; the M/M/1//N queue), by the states' probabilities."""
    ratio = service / think
    weights = [math.factorial(groups) / math.factorial(groups - n) * ratio**n for n in range(groups + 1)]
    return (1.0 - weights[0] / sum(weights)) / service


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), seconds, seconds)
def test_without_chance_nobody_waits_until_the_server_is_busy_all_the_time(groups: int, think: float, service: float) -> None:
    stages = [Stage(think), Stage(service, ("server",))]
    flow = ClosedQueue([stages] * groups, {"server": 1}).run(400)
    expected = min(groups / (think + service), 1.0 / service)
    assert flow.calls_per_second == pytest.approx(expected, rel=0.01)
    assert flow.busy["server"] == pytest.approx(expected * service, rel=0.02)


@pytest.mark.parametrize(("groups", "think", "service"), [(1, 2.0, 1.0), (3, 2.0, 1.0), (8, 10.0, 1.0), (20, 10.0, 1.0)])
def test_with_exponential_times_it_is_the_machine_repair_model(groups: int, think: float, service: float) -> None:
    stages = [Stage(think), Stage(service, ("server",))]
    flow = ClosedQueue([stages] * groups, {"server": 1}, exponential=True, seed=1).run(20_000)
    assert flow.calls_per_second == pytest.approx(machine_repair(groups, think, service), rel=0.03)


def test_a_stage_waits_for_all_that_it_needs() -> None:
    stages = [Stage(1.0, ("core",)), Stage(1.0, ("server", "core"))]
    on_two = ClosedQueue([stages] * 4, {"core": 2, "server": 1}).run(200)
    on_one = ClosedQueue([stages] * 4, {"core": 1, "server": 1}).run(200)
    assert on_two.calls_per_second == pytest.approx(1.0, rel=0.05) and on_one.calls_per_second == pytest.approx(0.5, rel=0.01)
    assert on_one.busy["core"] == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_stages_take_longer_beside_others_on_cores_that_share_memory(groups: int) -> None:
    stages = [Stage(1.0, ("core",))]
    alone = ClosedQueue([stages], {"core": 2}, {"core": 1.5}).run(200)
    full = ClosedQueue([stages] * groups, {"core": 2}, {"core": 1.5}).run(200)
    half = ClosedQueue([stages] * 2, {"core": 3}, {"core": 1.5}).run(200)
    assert alone.calls_per_second == pytest.approx(1.0, rel=0.01)
    assert full.calls_per_second == pytest.approx(2 / 1.5, rel=0.01)
    assert half.calls_per_second == pytest.approx(2 / 1.25, rel=0.01)
