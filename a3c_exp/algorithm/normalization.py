"""Running statistics for normalization: what a window adds to them, and how an update merges it.

The statistics are the last weights (``models.normalization``). In their places a window's gradient holds the window's moments,
so they are shared, queued, delayed and saved like any gradient, and each is merged exactly once, in the order of updates.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.models.normalization import Moments
from a3c_exp.optimizers.base import FunctionalOptimizer, Optimizer


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
    """An optimizer of weights whose last ``size`` numbers are packed moments: it steps the others, and merges these."""

    def __init__(self, optimizer: Optimizer, size: int) -> None:
        self._optimizer, self._size = optimizer, size
        self.lr, self.state_rows = optimizer.lr, optimizer.state_rows

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        end = len(weights) - self._size
        self._optimizer.step(weights[:end], gradient[:end], optimizer_state[:, :end], updates, lr)
        weights[end:] = self._merge(weights[end:], gradient[end:])

    @staticmethod
    def _merge(statistics: Tensor, added: Tensor) -> Tensor:
        return Moments.unpack(statistics).merge(Moments.unpack(added)).pack()


class FunctionalNormalizingOptimizer(NormalizingOptimizer):
    """The same around an optimizer whose updates can be compiled."""

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        return cast(FunctionalOptimizer, self._optimizer).coefficients(updates, lr)

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        optimizer, end = cast(FunctionalOptimizer, self._optimizer), len(weights) - self._size
        trained = torch.cat([gradient[:end], torch.zeros_like(gradient[end:])])
        stepped, state = optimizer.functional_step(weights, trained, optimizer_state, coefficients)
        return torch.cat([stepped[:end], self._merge(weights[end:], gradient[end:])]), state


def with_normalization(optimizer: Optimizer, size: int) -> NormalizingOptimizer:
    """The optimizer for weights whose last ``size`` numbers are running statistics."""
    kind = FunctionalNormalizingOptimizer if isinstance(optimizer, FunctionalOptimizer) else NormalizingOptimizer
    return kind(optimizer, size)
