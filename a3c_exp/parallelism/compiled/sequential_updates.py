"""Pushes that follow each other at once: one call of machine code makes them one by one, and pulls after each."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.compile.compiler import Compiled, Compiler
from a3c_exp.compile.vectorize import compiled_for
from a3c_exp.optimizers.base import Optimizer, PureOptimizer
from a3c_exp.parallelism.worker_group import StackedWorkers

_MOST = 16
"""Pushes of one call; a longer series takes several. What is compiled grows with it."""
_AHEAD = 1024
"""Updates whose coefficients are computed at once, where learning rates do not change."""

Call = Sequence[Tensor]
"""What a call is given beside weights and gradients: ``c`` different workers in order ``[c]``, which of them push ``[c]``, and
the optimiser's coefficients ``[m, c]``."""


class PushSeries:
    """Applies workers' gradients in a given order, each to the weights that the one before left behind.

    Args:
        optimizer: whose arithmetic it is.
        workers: N of one training.
        size: P.
    """

    def __init__(self, optimizer: PureOptimizer, workers: int, size: int) -> None:
        self._optimizer = optimizer
        self._most = min(workers, _MOST)
        self._size, self._workers = size, workers
        self._none = torch.zeros(1, 1)  # no weights of which views would be kept
        self._run: Compiled = self._uncompiled
        self._rates: NDArray[np.float64] | None = None  # of coefficients that were computed ahead, as long as they stay so
        self._alike, self._known_from = False, 0
        self._known: NDArray[np.float64] | None = None
        self._shown: Sequence[Call] = ()  # the latest series that was recounted, and its coefficients as numpy sees them
        self._views: list[NDArray[np.float32]] = []
        self._alone: tuple[NDArray[np.float64], Sequence[Call], Tensor] | None = None  # what ``push_one`` makes it from

    @classmethod
    def of(cls, workers: StackedWorkers, optimizer: Optimizer, each: int) -> "PushSeries | None":
        """As machine code for trainings of ``each`` of these workers, all with weights of their own; ``None`` if that cannot be
        had."""
        if workers.compiler is None or not workers.stackable or not isinstance(optimizer, PureOptimizer):
            return None
        series = cls(optimizer, each, workers.layout.size)
        return series if series.compile(workers.compiler) else None

    def compile(self, compiler: Compiler) -> bool:
        """Make machine code of it; false if that cannot be had."""
        rows, n, p = self._optimizer.state_rows, self._workers, self._size
        one = np.zeros((1, self._most))
        ((numbers,),) = self.lined_up(one.astype(np.int64), 0, one)
        given = [torch.zeros(p), torch.zeros(rows, p), torch.zeros(n, p), torch.zeros(n, p), *numbers]
        code = compiled_for(partial(self._uncompiled, self._none), self._none, given, compiler, "pushing")
        if code is None:
            return False
        self._run = code
        return True

    @property
    def most(self) -> int:
        """Pushes that one call makes."""
        return self._most

    def lined_up(self, orders: NDArray[np.int64], updates: int, rates: NDArray[np.float64]) -> Sequence[Sequence[Call]]:
        """What the calls for several series must be told; for each series, its calls in turn.

        Args:
            orders: ``[series, count]`` whose gradient comes first, and so on; nobody twice in a series.
            updates: how many updates came before the first.
            rates: ``[series, count]`` each push's learning rate.
        """
        (series, count), c = orders.shape, self._most
        calls = -(-count // c)
        order, live = np.zeros((series, calls * c), np.int64), np.zeros((series, calls * c), np.bool_)
        order[:, :count], live[:, :count] = orders, True
        if count < calls * c:
            everyone, first = np.arange(self._workers), (calls - 1) * c
            for row in order:
                row[count:] = np.setdiff1d(everyone, row[first:count])[: calls * c - count]
        numbers = self._optimizer.coefficients(updates + np.arange(series * count), rates.ravel())
        padded = np.zeros((len(numbers), series, calls * c), np.float32)
        padded[:, :, :count] = numbers.reshape(-1, series, count)
        by_call = np.ascontiguousarray(padded.reshape(-1, series * calls, c).swapaxes(0, 1))
        flat = order.reshape(-1, c), live.reshape(-1, c), by_call
        told = list(zip(*(torch.from_numpy(array).unbind() for array in flat), strict=True))
        return [told[i : i + calls] for i in range(0, len(told), calls)]

    def recounted(self, series: Sequence[Call], updates: int, rates: NDArray[np.float64]) -> Sequence[Call]:
        """The same series in another place, changed in place: ``updates`` before it, and ``rates [count]`` of its pushes, the
        same array as long as they do not change."""
        numbers = self._coefficients(updates, rates)
        if series is not self._shown:
            self._shown, self._views = series, [call[-1].numpy() for call in series]
        for i, view in enumerate(self._views):
            part = numbers[:, i * self._most : (i + 1) * self._most]
            view[:, : part.shape[1]] = part
        return series

    def _coefficients(self, updates: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """The optimiser's, ``[m, count]``; looked up where all rates are the same and stay so."""
        count = len(rates)
        known_before = rates is self._rates
        if not known_before:
            self._rates, self._alike, self._known = rates, bool((rates == rates[0]).all()), None
        if not (known_before and self._alike):
            return self._optimizer.coefficients(updates + np.arange(count), rates)
        if self._known is None or not 0 <= updates - self._known_from <= self._known.shape[1] - count:
            self._known_from = updates
            ahead = updates + np.arange(_AHEAD + count)
            self._known = self._optimizer.coefficients(ahead, np.full(len(ahead), rates[0]))
        first = updates - self._known_from
        return self._known[:, first : first + count]

    def push(self, weights: Tensor, state: Tensor, gradients: Tensor, own: Tensor, series: Sequence[Call]) -> None:
        """Push in order. Call in inference mode.

        Args:
            weights: ``[P]`` the shared weights, changed in place.
            state: ``[state_rows, P]`` the optimiser's, likewise.
            gradients: ``[N, P]`` each worker's, contiguous.
            own: ``[N, P]`` each worker's copy of the weights: whoever pushed pulls at once.
            series: one of those lined up.
        """
        for numbers in series:
            self._run(self._none, weights, state, gradients, own, *numbers)

    def push_one(self, weights: Tensor, gradient: Tensor, state: Tensor, updates: int, lr: float) -> None:
        """The push of the only worker there is, called like ``Optimizer.step``; bit for bit what ``push`` makes of it."""
        if self._alone is None or self._alone[0][0] != lr:
            rates = np.array([lr])
            (calls,) = self.lined_up(np.zeros((1, 1), np.int64), updates, rates[np.newaxis])
            self._alone = rates, calls, torch.zeros(1, self._size)
        rates, calls, own = self._alone
        with torch.inference_mode():
            self.push(weights, state, gradient.unsqueeze(0), own, self.recounted(calls, updates, rates))

    def _uncompiled(
        self,
        _: Tensor,
        weights: Tensor,
        state: Tensor,
        gradients: Tensor,
        own: Tensor,
        order: Tensor,
        live: Tensor,
        coefficients: Tensor,
    ) -> Sequence[Tensor]:
        ordered = gradients.index_select(0, order).unbind()
        now, kept, pulled = weights, state.unbind(), []
        for gradient, lives, numbers in zip(ordered, live.unbind(), coefficients.unbind(1), strict=True):
            new, new_state = self._optimizer.updated(now, gradient, kept, numbers)
            now = torch.where(lives, new, now)
            kept = tuple(torch.where(lives, one, old) for one, old in zip(new_state, kept, strict=True))
            pulled.append(now)
        before = own.index_select(0, order)
        own.index_copy_(0, order, torch.where(live.unsqueeze(1), torch.stack(pulled), before))
        weights.copy_(now)
        if kept:
            state.copy_(torch.stack(kept))
        return ()
