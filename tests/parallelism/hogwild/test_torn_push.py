"""A process that is killed at any point of a push leaves no half of it under a lock, and nothing worse than half without."""

import time
from pathlib import Path

import psutil
import pytest
import torch

from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.hogwild.shared_parameters import SharedWeights
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from tests.support.driving import wait_until
from tests.support.faulty import Deadly, Point
from tests.support.pushing import KILLED, PATIENCE, SLACK, block_for, ended, ledger_for, push_alone

P = 1000
ADAM = Adam(0.01, (0.96, 0.999))
GRADIENT = torch.linspace(-1.0, 1.0, P)


def after(pushes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and optimizer state after this many whole pushes."""
    weights, state = torch.ones(P), torch.zeros(2, P)
    for update in range(pushes):
        ADAM.step(weights, GRADIENT, state, update, ADAM.lr)
    return weights, state


@pytest.mark.parametrize("point", ["before_write", "half_written", "all_written"])
def test_a_push_that_was_killed_under_the_lock_leaves_no_trace(tmp_path: Path, point: Point) -> None:
    weights, state = after(0)
    block, counters = block_for(weights, state, tmp_path, locked=True, timeout=PATIENCE), ledger_for(2)
    deadly = Deadly(ADAM, tmp_path / "died", at_update=5, point=point)
    assert ended(push_alone(block, counters, 0, deadly, GRADIENT, times=10)) == KILLED
    assert (tmp_path / "died").exists()

    shared = SharedWeights(block, counters, 1, deadly)
    before = time.monotonic()
    weights, state = shared.read()
    assert shared.updates() == 5
    assert torch.equal(weights, after(5)[0]), "weights are not, bit for bit, what they were before that push"
    assert torch.equal(state, after(5)[1]), "the optimizer's state is not what it was before that push"
    own = torch.empty(P)
    assert shared.push_and_pull(GRADIENT, own, shared.pull(own)) == (0, 6)
    assert time.monotonic() - before < SLACK, "the next one waited for a dead process"
    assert torch.equal(shared.read()[0], after(6)[0])
    assert torch.equal(shared.read()[1], after(6)[1])
    assert torch.equal(own, after(6)[0])


@pytest.mark.parametrize("suspends_after", [100, -1], ids=["between two pushes", "anywhere"])
def test_a_process_that_dies_takes_no_lock_with_it(tmp_path: Path, suspends_after: int) -> None:
    block, counters = block_for(*after(0), tmp_path, locked=True, timeout=PATIENCE), ledger_for(2)
    # Never ends by itself. The signal may find it anywhere, unless it is suspended between two pushes.
    process = push_alone(block, counters, 0, ADAM, GRADIENT, times=10**9, suspends_after=suspends_after)
    shared = SharedWeights(block, counters, 1, ADAM)
    wait_until(lambda: shared.updates() >= 100, "a hundred pushes")
    if suspends_after >= 0:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "it to be suspended")
    process.kill()
    assert ended(process) == KILLED
    pushes = shared.updates()
    assert pushes == 100 if suspends_after >= 0 else pushes >= 100
    assert torch.equal(shared.read()[0], after(pushes)[0])
    assert torch.equal(shared.read()[1], after(pushes)[1])
    own = torch.empty(P)
    assert shared.push_and_pull(GRADIENT, own, shared.pull(own)) == (0, pushes + 1)


def test_a_lock_free_push_that_was_killed_leaves_each_element_with_it_or_without(tmp_path: Path) -> None:
    block, counters = block_for(*after(0), tmp_path, locked=False), ledger_for(2)
    deadly = Deadly(ADAM, tmp_path / "died", at_update=5, point="half_written")
    assert ended(push_alone(block, counters, 0, deadly, GRADIENT, times=10)) == KILLED

    shared = SharedWeights(block, counters, 1, deadly)
    weights, _ = shared.read()
    assert torch.isfinite(weights).all()
    with_it, without = weights == after(6)[0], weights == after(5)[0]
    assert (with_it | without).all(), "an element is neither with the push nor without it"
    assert int(with_it.sum()) >= P // 2, "this test meant to tear a push"
    assert int(without.sum()) >= P // 2, "this test meant to tear a push"
    assert shared.updates() == 5, "a push that did not end does not count"
    counters.release_dead(0)
    own = torch.empty(P)
    assert shared.push_and_pull(GRADIENT, own, shared.pull(own)) == (0, 6)
    assert torch.isfinite(own).all()
    assert ended(push_alone(block, counters, 0, deadly, GRADIENT, times=10)) == 0, "the run goes on"
    assert shared.updates() == 16


def test_a_buried_process_does_not_overlap_with_everyone_for_ever(tmp_path: Path) -> None:
    sgd = SGD(lr=1.0)
    block, counters = block_for(torch.zeros(P), torch.zeros(0, P), tmp_path, locked=False), ledger_for(2)
    deadly = Deadly(sgd, tmp_path / "died", at_update=0, point="half_written")
    assert ended(push_alone(block, counters, 0, deadly, GRADIENT)) == KILLED
    shared = SharedWeights(block, counters, 1, deadly)
    own = torch.empty(P)
    at = shared.pull(own)
    _, at = shared.push_and_pull(GRADIENT, own, at)
    assert counters.table[1, CounterColumn.overlapping] == 1, "while it is not known to be dead, it counts as writing"
    counters.release_dead(0)
    shared.push_and_pull(GRADIENT, own, at)
    assert counters.table[1, CounterColumn.overlapping] == 1
