"""Pushes in a series against the same pushes one by one."""

import numpy as np
import pytest
import torch

from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.base import Optimizer, PureOptimizer
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.push_series import PushSeries
from tests.walker import Walker

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
    assert isinstance(optimizer, PureOptimizer)
    series = PushSeries(optimizer, N, P)
    if walked:
        assert series.compile(Walker())
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ((torch.ones(P), torch.zeros(optimizer.state_rows, P), torch.ones(N, P)) for _ in range(2))
    updates = 0
    for order in ([0, 1, 2, 3, 4], [3, 1], [2], [4, 0, 2, 1, 3], [1, 0]):
        gradients = torch.randn(N, P, generator=generator)
        rates = np.array([optimizer.lr * (1 + 0.1 * i) for i in range(len(order))])
        series.push(ours[0], ours[1], gradients, ours[2], np.array(order), updates, rates)
        for worker, rate in zip(order, rates.tolist(), strict=True):
            optimizer.step(theirs[0], gradients[worker], theirs[1], updates, rate)
            theirs[2][worker] = theirs[0]
            updates += 1
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_more_workers_than_one_call_takes_push_in_several() -> None:
    series = PushSeries(SGD(1.0), 40, 2)
    assert series.most < 40
    weights, own = torch.zeros(2), torch.zeros(40, 2)
    order = np.arange(39, 39 - series.most, -1)
    series.push(weights, torch.zeros(0, 2), torch.ones(40, 2), own, order, 0, np.ones(series.most))
    assert weights.tolist() == [-series.most] * 2
    assert own[39].tolist() == [-1.0, -1.0], "the first to push pulls what its own push left"
    assert own[0].tolist() == [0.0, 0.0], "who did not push does not pull"
