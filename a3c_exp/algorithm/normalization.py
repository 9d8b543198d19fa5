"""Running statistics for normalization: what a window adds to them, and how an update merges it.

The statistics are the last weights (``models.normalization``). In their places a window's gradient holds the window's moments,
so they are shared, queued, delayed and saved like any gradient, and each is merged exactly once, in the order of updates.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from a3c_exp.compile.numpy_executor import NumpyExecutor
from a3c_exp.models.normalization import Moments
from a3c_exp.optimizers.base import Optimizer


def discounted_returns(reward: Tensor, episode_start: Tensor, valid: Tensor, before: Tensor, gamma: float | Tensor) -> Tensor:
    """``G_t = r_t + gamma G_{t-1}`` from each episode's beginning, whose standard deviation rewards are divided by (Engstrom et
    al. 2020, arXiv:2005.12729, section 3).

    Args:
        reward: ``[..., n]``, 0 where not ``valid``.
        episode_start, valid: ``[..., n]``, 1 or 0.
        before: ``[...]`` G of the step before the window.
        gamma: discount factor, a number or ``[]``.

    Returns:
        ``[..., n]``; after the last valid step it stays.
    """
    discount = torch.where(valid > 0, (1.0 - episode_start) * gamma, 1.0).unbind(-1)
    returns = []
    for t, r in enumerate(reward.unbind(-1)):
        before = torch.addcmul(r, discount[t], before)
        returns.append(before)
    return torch.stack(returns, dim=-1)


class NormalizingOptimizer(Optimizer):
    """An ``optimizer`` of weights whose last ``size`` numbers are packed moments: it steps the others, and merges these; or
    leaves these as they are, where somebody else ``merges`` them."""

    def __init__(self, optimizer: Optimizer, size: int, merges: bool = True) -> None:
        self.optimizer, self.size, self.merges = optimizer, size, merges
        self.lr, self.state_rows = optimizer.lr, optimizer.state_rows

    def without_merging(self) -> "NormalizingOptimizer":
        return NormalizingOptimizer(self.optimizer, self.size, merges=False)

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        end = len(weights) - self.size
        self.optimizer.step(weights[:end], gradient[:end], optimizer_state[:, :end], updates, lr)
        if self.merges:
            weights[end:] = _merge_in_numpy(self.size)(weights[end:], gradient[end:])


def merge(statistics: Tensor, added: Tensor) -> Tensor:
    """Packed moments of two samples as those of both together."""
    return Moments.unpack(statistics).merge(Moments.unpack(added)).pack()


@cache
def _merge_in_numpy(size: int) -> Callable[[Tensor, Tensor], Tensor]:
    """``merge`` of so many numbers, which cost dispatch, not arithmetic; its result is overwritten by the next call."""
    executor = NumpyExecutor(lambda *moments: (merge(*moments),), (torch.zeros(size), torch.zeros(size)))
    before, window, after = map(torch.from_numpy, (*executor.inputs, *executor.outputs))

    def run(statistics: Tensor, added: Tensor) -> Tensor:
        before.copy_(statistics)
        window.copy_(added)
        executor.run()
        return after

    return run
