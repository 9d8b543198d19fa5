"""A push arrives once, however many others push; the optimizer's state is everyone's; what lock-free pushes lose is counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.hogwild.shared_parameters import SharedWeights
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from tests.support.pushing import block_for, ended, ledger_for, push_alone, push_together

P = 1703
"""As many weights as the Pendulum report's networks have."""
NO_STATE = torch.zeros(0, P)


def all_done(exit_codes: list[int]) -> None:
    assert set(exit_codes) == {0}, exit_codes


def test_three_locked_pushes_at_once_are_not_lost_nor_doubled(tmp_path: Path) -> None:
    block, counters = block_for(torch.zeros(P), NO_STATE, tmp_path, locked=True), ledger_for(3)
    # Digits of their own: the sum says of each gradient how often it arrived.
    gradients = [torch.full((P,), -(10.0**digit)) for digit in range(3)]
    all_done(push_together(block, counters, SGD(lr=1.0), gradients))
    shared = SharedWeights(block, counters, None, SGD(lr=1.0))
    assert torch.equal(shared.read()[0], torch.full((P,), 111.0))
    assert shared.updates() == 3


def test_three_lock_free_pushes_in_turn_are_not_lost_nor_doubled(tmp_path: Path) -> None:
    block, counters = block_for(torch.zeros(P), NO_STATE, tmp_path, locked=False), ledger_for(3)
    for slot in range(3):
        assert ended(push_alone(block, counters, slot, SGD(lr=1.0), torch.full((P,), -(10.0**slot)))) == 0
    shared = SharedWeights(block, counters, None, SGD(lr=1.0))
    assert torch.equal(shared.read()[0], torch.full((P,), 111.0))
    assert shared.updates() == 3
    assert counters.table[:, CounterColumn.overlapping].sum() == 0, "pushes in turn never met"


def adam_of_one_process(weights: Tensor, gradient: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """The same pushes by ``torch.optim.Adam``: its weights ``[P]`` and its moments ``[2, P]``."""
    parameter = torch.nn.Parameter(weights.clone())
    optimizer = torch.optim.Adam([parameter], lr=1e-3, betas=(0.96, 0.999))
    for _ in range(times):
        parameter.grad = gradient.clone()
        optimizer.step()
    state = optimizer.state[parameter]
    assert int(state["step"]) == times
    return parameter.detach(), torch.stack([state["exp_avg"], state["exp_avg_sq"]])


def test_two_processes_do_not_keep_an_adam_each(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights, gradient = torch.randn(P, generator=generator), torch.randn(P, generator=generator)
    adam = Adam(1e-3, (0.96, 0.999))
    block, counters = block_for(weights, torch.zeros(2, P), tmp_path, locked=True), ledger_for(2)
    # The same gradient every time, so that who comes first makes no difference.
    all_done(push_together(block, counters, adam, [gradient, gradient], times=100))
    shared = SharedWeights(block, counters, None, adam)
    expected, moments = adam_of_one_process(weights, gradient, 200)
    assert shared.updates() == 200
    torch.testing.assert_close(shared.read()[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shared.read()[1], moments, rtol=1e-5, atol=1e-6)
    alone, _ = adam_of_one_process(weights, gradient, 100)
    assert (alone - expected).abs().max() > 0.05, "the test could not tell one shared Adam from two private ones"


def test_a_resumed_adam_does_not_start_over(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    weights, gradient = torch.randn(P, generator=generator), torch.randn(P, generator=generator)
    adam = Adam(1e-3, (0.96, 0.999))
    saved, moments = adam_of_one_process(weights, gradient, 37)
    block, counters = block_for(saved, moments, tmp_path, locked=True), ledger_for(2, updates=37)
    all_done(push_together(block, counters, adam, [gradient, gradient], times=20))
    shared = SharedWeights(block, counters, None, adam)
    expected, expected_moments = adam_of_one_process(weights, gradient, 77)
    assert shared.updates() == 77
    torch.testing.assert_close(shared.read()[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shared.read()[1], expected_moments, rtol=1e-5, atol=1e-6)


def test_locked_pushes_of_two_processes_lose_nothing(tmp_path: Path) -> None:
    sgd = SGD(lr=0.5)
    block, counters = block_for(torch.zeros(P), NO_STATE, tmp_path, locked=True), ledger_for(2)
    all_done(push_together(block, counters, sgd, [torch.ones(P)] * 2, times=2000))
    shared = SharedWeights(block, counters, None, sgd)
    assert torch.equal(shared.read()[0], torch.full((P,), -2000.0)), "an element missed a push, or had one twice"
    assert shared.updates() == 4000
    assert counters.table[:, CounterColumn.pushes].tolist() == [2000, 2000]


def test_what_lock_free_pushes_lose_is_not_more_than_is_said(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # Two processes that do nothing but push lose a few percent; many times that where others suspend them in the middle of one.
    sgd, shares, limit = SGD(lr=1.0), list[float](), 0.25
    while len(shares) < 3 and min(shares, default=1.0) >= limit:
        folder = tmp_path / str(len(shares))
        folder.mkdir()
        block, counters = block_for(torch.zeros(P), NO_STATE, folder, locked=False), ledger_for(2)
        all_done(push_together(block, counters, sgd, [torch.full((P,), -1.0)] * 2, times=2000))
        shared = SharedWeights(block, counters, None, sgd)
        lost = 4000 - shared.read()[0]  # [P]
        overlapping = int(counters.table[:, CounterColumn.overlapping].sum())
        shares.append(float(lost.mean()) / 4000)
        print(f"lock-free: {shares[-1]:.2%} of a push lost on average, {float(lost.max()) / 4000:.2%} of the worst element's")
        print(f"{overlapping / 4000:.2%} of pushes overlapped")
        assert shared.updates() == 4000, "the count of updates is exact even where elements are lost"
        assert lost.min() >= 0, "an element had more pushes than were made"
        # A push can only be lost to another that was being written at the same time, and each such push is counted.
        assert lost.max() <= overlapping
    record_property("lost_share", min(shares))
    assert min(shares) < limit, f"lock-free pushes lose {shares} on average"


@pytest.mark.parametrize("locked", [True, False])
def test_the_policy_lag_is_not_guessed(tmp_path: Path, locked: bool) -> None:
    sgd = SGD(lr=1.0)
    block, counters = block_for(torch.zeros(P), NO_STATE, tmp_path, locked), ledger_for(2, updates=1000)
    ours, theirs = (SharedWeights(block, counters, slot, sgd) for slot in range(2))
    own, other, one = torch.empty(P), torch.empty(P), torch.full((P,), -1.0)
    pulled_at, at = ours.pull(own), theirs.pull(other)
    assert pulled_at == at == 1000
    for pushed in range(3):
        lag, at = theirs.push_and_pull(one, other, at)
        assert (lag, at) == (0, 1001 + pushed), "alone since the last pull"
    assert torch.equal(own, torch.zeros(P)), "nobody's push changes what another has pulled"
    assert ours.push_and_pull(one, own, pulled_at) == (3, 1004)
    assert torch.equal(own, torch.full((P,), 4.0)), "a push is followed by a pull, with the others' pushes in it"
    assert theirs.push_and_pull(one, other, at) == (1, 1005)
    assert ours.updates() == theirs.updates() == 1005


@pytest.mark.parametrize("locked", [False, True], ids=["lock free", "locked"])
def test_pushes_in_one_pass_are_the_same_pushes_one_by_one(locked: bool, tmp_path: Path) -> None:
    """An even number at once, which must not put the wrong copy in use; others' pushes before, between and behind."""
    workers, adam, generator = 4, Adam(1e-2, (0.96, 0.999)), torch.Generator().manual_seed(0)
    gradients, rates = torch.randn(3, workers, P, generator=generator), np.array([1e-2, 2e-2, 3e-3, 1e-2])
    series = SequentialUpdates(adam, workers, P)
    (calls,) = series.prepare(np.arange(workers)[np.newaxis], 0, rates[np.newaxis])
    results = []
    for at_once in (True, False):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        block, counters = block_for(torch.ones(P), torch.zeros(2, P), folder, locked=locked), ledger_for(2)
        ours, other = (SharedWeights(block, counters, slot, adam) for slot in range(2))
        own, elsewhere, lags = torch.zeros(workers, P), torch.zeros(P), []
        pulled_at = np.array([ours.pull(row) for row in own])
        for gradient in gradients:
            other.push_and_pull(gradient[0], elsewhere, 0)
            if at_once:
                lags.append(ours.push_all_and_pull(series, calls, gradient, own, pulled_at, rates).tolist())
                continue
            lags.append([])
            for k in range(workers):
                lag, pulled_at[k] = ours.push_and_pull(gradient[k], own[k], int(pulled_at[k]), rates[k])
                lags[-1].append(lag)
        pushes = counters.table[
            :, [CounterColumn.pushes, CounterColumn.push_begun, CounterColumn.push_ended, CounterColumn.overlapping]
        ].tolist()
        results.append((torch.stack([*own, ours.read()[0], *ours.read()[1]]), ours.updates(), lags, pulled_at.tolist(), pushes))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    assert results[0][1:] == results[1][1:]
    assert results[0][1] == 15
