"""Pushes in a series against the same pushes one by one."""

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.normalization import NormalizingOptimizer
from a3c_exp.models.normalization import Moments, packed_size
from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.base import FunctionalOptimizer, Optimizer
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from tests.support.walker import Walker

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(1e-2, (0.96, 0.999), weight_decay=0.01),
    "rmsprop": RMSprop(1e-2, eps=0.01),
    "rmsprop, torch's way, with momentum": RMSprop(1e-2, eps=1e-3, momentum=0.8, eps_inside_sqrt=False, initial_square=1.0),
    "sgd": SGD(1e-2),
    "sgd with momentum": SGD(1e-2, momentum=0.9),
}
N, P = 5, 37


@pytest.mark.parametrize("walked", [False, True], ids=["as written", "taped"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_series_is_its_pushes_one_by_one(optimizer: Optimizer, walked: bool) -> None:
    assert isinstance(optimizer, FunctionalOptimizer)
    series = SequentialUpdates(optimizer, N, P)
    if walked:
        assert series.compile(Walker())
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ((torch.ones(P), torch.zeros(optimizer.state_rows, P), torch.ones(N, P)) for _ in range(2))
    updates = 0
    for order in ([0, 1, 2, 3, 4], [3, 1], [2], [4, 0, 2, 1, 3], [1, 0]):
        gradients = torch.randn(N, P, generator=generator)
        rates = np.array([optimizer.lr * (1 + 0.1 * i) for i in range(len(order))])
        (calls,) = series.prepare(np.array([order]), updates, rates[np.newaxis])
        series.push(ours[0], ours[1], gradients, ours[2], calls)
        for worker, rate in zip(order, rates.tolist(), strict=True):
            optimizer.step(theirs[0], gradients[worker], theirs[1], updates, rate)
            theirs[2][worker] = theirs[0]
            updates += 1
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("merges", [True, False], ids=["merged", "left alone"])
def test_statistics_are_merged_as_one_by_one(merges: bool) -> None:
    optimizer, size = NormalizingOptimizer(Adam(1e-2), packed_size(3), merges), packed_size(3)
    series, p = SequentialUpdates(Adam(1e-2), N, P + size, size, merges), P + size
    assert series.compile(Walker())
    generator = torch.Generator().manual_seed(0)
    begun = Moments.of(torch.randn(50, 3, generator=generator) + 5, torch.ones(50)).pack()
    ours, theirs = ((torch.cat([torch.ones(P), begun]), torch.zeros(2, p), torch.ones(N, p)) for _ in range(2))
    for updates, order in ((0, [0, 1, 2, 3, 4]), (5, [3, 1]), (7, [2])):
        windows = torch.stack([Moments.of(torch.randn(4, 3, generator=generator), torch.ones(4)).pack() for _ in range(N)])
        gradients = torch.cat([torch.randn(N, P, generator=generator), windows], dim=1)
        (calls,) = series.prepare(np.array([order]), updates, np.full((1, len(order)), 1e-2))
        series.push(ours[0], ours[1], gradients, ours[2], calls)
        for i, worker in enumerate(order):
            optimizer.step(theirs[0], gradients[worker], theirs[1], updates + i, 1e-2)
            theirs[2][worker] = theirs[0]
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine[..., :P], other[..., :P], rtol=1e-5, atol=1e-6)
        for mine, other in zip(ours[::2], theirs[::2], strict=True):
            for part, same in zip(Moments.unpack(mine[..., P:]), Moments.unpack(other[..., P:]), strict=True):
                torch.testing.assert_close(part, same, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(mine[..., P : P + 3], other[..., P : P + 3])
    assert torch.equal(ours[0][P:], begun) is not merges


def test_more_workers_than_one_call_takes_push_in_several() -> None:
    series = SequentialUpdates(SGD(1.0), 40, 2)
    assert series.batch_size < 38
    weights, own = torch.zeros(2), torch.zeros(40, 2)
    order = np.arange(39, 1, -1)
    (calls,) = series.prepare(order[np.newaxis], 0, np.ones((1, 38)))
    assert len(calls) > 1
    series.push(weights, torch.zeros(0, 2), torch.ones(40, 2), own, calls)
    assert weights.tolist() == [-38.0] * 2
    assert own[:, 0].tolist() == [0.0, 0.0, *range(-38, 0)], "each pulls what its own push left, and none who did not push"


def test_series_lined_up_together_are_those_lined_up_one_after_another() -> None:
    """Their places in Adam's bias correction, above all."""
    series, rates = SequentialUpdates(OPTIMIZERS["adam"], N, P), np.linspace(1e-3, 1e-2, 3 * N).reshape(3, N)  # type: ignore[arg-type]
    orders = np.stack([np.roll(np.arange(N), i) for i in range(3)])
    together = series.prepare(orders, 7, rates)
    for i, calls in enumerate(together):
        (alone,) = series.prepare(orders[i : i + 1], 7 + i * N, rates[i : i + 1])
        for one, other in zip(calls[0], alone[0], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("optimizer", [OPTIMIZERS["adam"], OPTIMIZERS["sgd"]], ids=["adam", "sgd"])
def test_a_series_counted_anew_is_the_one_lined_up_there(optimizer: Optimizer) -> None:
    """Others push meanwhile, so updates jump; coefficients that were looked up ahead are those of their update and rate."""
    assert isinstance(optimizer, FunctionalOptimizer)
    kept, fresh = SequentialUpdates(optimizer, N, P), SequentialUpdates(optimizer, N, P)
    order = np.arange(N)[np.newaxis]
    (calls,) = kept.prepare(order, 0, np.full((1, N), 0.5))
    uneven = np.linspace(0.1, 0.2, N)
    for updates, rates in (
        (0, 0.5), (5, 0.5), (400, 0.5), (1024, 0.5), (1025, 0.5), (1026, 0.5), (9000, 0.5), (7, 0.5), (12, 0.25), (17, 0.25),
        (22, uneven), (27, uneven), (32, 0.25),
    ):  # fmt: skip
        each = np.broadcast_to(rates, N)
        (expected,) = fresh.prepare(order, updates, each[np.newaxis])
        for (*_, ours), (*_, theirs) in zip(kept.refresh(calls, updates, each), expected, strict=True):
            assert torch.equal(ours, theirs), updates
