"""What the loss takes besides a window: what workers have of their own, what is scheduled, what must not be compiled in."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.base import TrainingSetup


class LossInputs:
    """The ``tensors`` that ``window_loss`` takes after a window, by row: none where the configuration says it all; else entropy
    coefficients ``[R]`` or ``[R, G]``; for compiled code, and where another follows, discount factors ``[R]``; the discounted
    returns before the window where something is normalized; and where it has a schedule the norm to clip to ``[R]``. They stay
    where they are in memory.

    Args:
        worker_ids: seed and number of each of K workers.
        returns: ``[K]`` their discounted returns, which are changed elsewhere.
        rows: R rows of weights, of which each serves G = K/R workers.
        by_worker: keep a dimension for the workers of a row.
    """

    def __init__(
        self, setup: TrainingSetup, worker_ids: Sequence[tuple[int, int]], returns: Tensor, rows: int, by_worker: bool
    ) -> None:
        learner, self._schedules = setup.learner, setup.schedules
        self.is_scheduled = not self._schedules.windows_are_constant
        coefs = [setup.entropy_coef(seed, worker) for seed, worker in worker_ids]
        self._coefs, self._max_grad_norm, self._row_size = np.array(coefs), learner.max_grad_norm, len(coefs) // rows
        coef = torch.tensor(coefs, device=setup.device)
        if by_worker:
            coef, returns = coef.view(rows, -1), returns.view(rows, -1)
        gamma = torch.full((rows,), learner.gamma, device=setup.device)
        more: tuple[Tensor, ...] = (returns,) if setup.normalization else ()
        if not self._schedules.max_grad_norm.is_constant:
            assert learner.max_grad_norm is not None, "what is not clipped has no schedule of clipping"
            more += (torch.full((rows,), learner.max_grad_norm, device=setup.device),)
        self.tensors: tuple[Tensor, ...] = ()
        if more or setup.compile:
            self.tensors = coef, gamma, *more
        elif self.is_scheduled or setup.per_worker.beta is not None:
            self.tensors = (coef,)

    def follow_schedules(self, fractions: NDArray[np.float64]) -> None:
        """Take the values for these ``fractions [K]`` of the budget. Call only if ``is_scheduled``."""
        beta, max_grad_norm = self._schedules.beta, self._schedules.max_grad_norm
        if not beta.is_constant:
            factors = np.array([beta.factor(fraction) for fraction in fractions.tolist()])
            self.tensors[0].copy_(torch.from_numpy(self._coefs * factors).view_as(self.tensors[0]))
        if self._max_grad_norm is not None and not max_grad_norm.is_constant:
            norms = [self._max_grad_norm * max_grad_norm.factor(fraction) for fraction in fractions[:: self._row_size].tolist()]
            self.tensors[-1].copy_(torch.tensor(norms))
