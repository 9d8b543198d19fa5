"""Pushes that follow each other at once: one call of machine code makes them one by one, and pulls after each."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.core.compiling import Compiled, Compiler
from a3c_exp.core.stacking import compiled_for
from a3c_exp.optimizers.base import PureOptimizer

_MOST = 16
"""Pushes of one call; a longer series takes several. What is compiled grows with it."""


class PushSeries:
    """Applies workers' gradients in a given order, each to the weights that the one before left behind.

    Args:
        optimizer: whose arithmetic it is.
        workers: N of one training.
        size: P.
    """

    def __init__(self, optimizer: PureOptimizer, workers: int, size: int) -> None:
        self._optimizer = optimizer
        self.most = c = min(workers, _MOST)
        self._size, self._workers = size, workers
        self._none = torch.zeros(1, 1)  # no weights of which views would be kept
        self._order = np.zeros(c, np.int64)
        self._live = np.zeros(c, np.bool_)
        self._place = np.zeros(workers, np.int64)
        none = optimizer.coefficients(np.zeros(c, np.int64), np.zeros(c))
        self._coefficients = np.zeros(none.shape, np.float32)
        self._slots = np.arange(c)
        numbers = self._order, self._live, self._place, self._coefficients
        self._numbers = [torch.from_numpy(array) for array in numbers]
        self._run: Compiled = self._uncompiled

    def compile(self, compiler: Compiler) -> bool:
        """Make machine code of it; false if that cannot be had."""
        rows, n, p = self._optimizer.state_rows, self._workers, self._size
        given = [torch.zeros(p), torch.zeros(rows, p), torch.zeros(n, p), torch.zeros(n, p), *self._numbers]
        code = compiled_for(partial(self._uncompiled, self._none), self._none, given, compiler, "pushing")
        if code is None:
            return False
        self._run = code
        return True

    def push(
        self,
        weights: Tensor,
        state: Tensor,
        gradients: Tensor,
        own: Tensor,
        order: NDArray[np.int64],
        updates: int,
        rates: NDArray[np.float64],
    ) -> None:
        """Push for at most ``most`` workers, in order.

        Args:
            weights: ``[P]`` the shared weights, changed in place.
            state: ``[state_rows, P]`` the optimiser's, likewise.
            gradients: ``[N, P]`` each worker's, contiguous.
            own: ``[N, P]`` each worker's copy of the weights: whoever pushed pulls at once.
            order: whose gradient comes first, and so on; nobody twice.
            updates: how many updates came before.
            rates: each push's learning rate.
        """
        count = len(order)
        self._order[:count] = order
        self._live[:] = self._slots < count
        self._place.fill(-1)
        self._place[self._order[:count]] = self._slots[:count]
        self._coefficients[:, :count] = self._optimizer.coefficients(updates + self._slots[:count], rates)
        with torch.inference_mode():
            self._run(self._none, weights, state, gradients, own, *self._numbers)

    def _uncompiled(
        self,
        _: Tensor,
        weights: Tensor,
        state: Tensor,
        gradients: Tensor,
        own: Tensor,
        order: Tensor,
        live: Tensor,
        place: Tensor,
        coefficients: Tensor,
    ) -> Sequence[Tensor]:
        ordered = gradients.index_select(0, order).unbind()
        now, kept, pulled = weights, state, []
        for gradient, lives, numbers in zip(ordered, live.unbind(), coefficients.unbind(1), strict=True):
            new, new_state = self._optimizer.updated(now, gradient, kept, numbers)
            now, kept = torch.where(lives, new, now), torch.where(lives, new_state, kept)
            pulled.append(now)
        pushed = (place >= 0).unsqueeze(1)
        own.copy_(torch.where(pushed, torch.stack(pulled).index_select(0, place.clamp(min=0)), own))
        weights.copy_(now)
        if self._optimizer.state_rows:
            state.copy_(kept)
        return ()
