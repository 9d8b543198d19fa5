"""Pushes that follow each other at once: one call of machine code makes them one by one, and pulls after each."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.vectorize import compile_checked
from a3c_exp.optimizers.base import FunctionalOptimizer, Optimizer
from a3c_exp.parallelism.worker_group import WorkerGroup

_MAX_BATCH_SIZE = 16
"""Pushes of one call; a longer series takes several. What is compiled grows with it."""
_CACHE_SIZE = 1024
"""Updates whose coefficients are computed at once, where learning rates do not change."""

UpdateBatch = Sequence[Tensor]
"""What a call is given beside weights and gradients: ``c`` different workers in order ``[c]``, which of them push ``[c]``, and
the optimiser's coefficients ``[m, c]``."""


class SequentialUpdates:
    """Applies workers' gradients in a given order, each to the weights that the one before left behind.

    Args:
        optimizer: whose arithmetic it is.
        workers: N of one training.
        size: P.
    """

    def __init__(self, optimizer: FunctionalOptimizer, workers: int, size: int) -> None:
        self._optimizer = optimizer
        self._batch_size = min(workers, _MAX_BATCH_SIZE)
        self._size, self._workers = size, workers
        self._no_weights = torch.zeros(1, 1)  # no weights of which views would be kept
        self._run: TensorFunction = self._uncompiled
        self._learning_rates: NDArray[np.float64] | None = (
            None  # of coefficients that were computed ahead, as long as they stay so
        )
        self._equal_learning_rates, self._cache_start = False, 0
        self._coefficient_cache: NDArray[np.float64] | None = None
        self._refreshed: Sequence[
            UpdateBatch
        ] = ()  # the latest series that was recounted, and its coefficients as numpy sees them
        self._coefficient_views: list[NDArray[np.float32]] = []
        self._single_update: tuple[NDArray[np.float64], Sequence[UpdateBatch], Tensor] | None = (
            None  # what ``push_one`` makes it from
        )

    @classmethod
    def try_compile(
        cls, worker_group: WorkerGroup, optimizer: Optimizer, workers_per_training: int
    ) -> "SequentialUpdates | None":
        """As machine code for trainings of ``workers_per_training`` of these workers, all with weights of their own; ``None`` if that cannot be
        had."""
        if worker_group.compiler is None or not worker_group.stackable or not isinstance(optimizer, FunctionalOptimizer):
            return None
        series = cls(optimizer, workers_per_training, worker_group.layout.size)
        return series if series.compile(worker_group.compiler) else None

    def compile(self, compiler: Compiler) -> bool:
        """Make machine code of it; false if that cannot be had."""
        rows, n, p = self._optimizer.state_rows, self._workers, self._size
        one = np.zeros((1, self._batch_size))
        ((numbers,),) = self.prepare(one.astype(np.int64), 0, one)
        given = [torch.zeros(p), torch.zeros(rows, p), torch.zeros(n, p), torch.zeros(n, p), *numbers]
        code = compile_checked(partial(self._uncompiled, self._no_weights), self._no_weights, given, compiler, "pushing")
        if code is None:
            return False
        self._run = code
        return True

    @property
    def batch_size(self) -> int:
        """Pushes that one call makes."""
        return self._batch_size

    def prepare(
        self, orders: NDArray[np.int64], updates: int, learning_rates: NDArray[np.float64]
    ) -> Sequence[Sequence[UpdateBatch]]:
        """What the calls for several series must be told; for each series, its calls in turn.

        Args:
            orders: ``[series, count]`` whose gradient comes first, and so on; nobody twice in a series.
            updates: how many updates came before the first.
            learning_rates: ``[series, count]`` each push's learning rate.
        """
        (series, count), c = orders.shape, self._batch_size
        calls = -(-count // c)
        order, live = np.zeros((series, calls * c), np.int64), np.zeros((series, calls * c), np.bool_)
        order[:, :count], live[:, :count] = orders, True
        if count < calls * c:
            everyone, first = np.arange(self._workers), (calls - 1) * c
            for row in order:
                row[count:] = np.setdiff1d(everyone, row[first:count])[: calls * c - count]
        numbers = self._optimizer.coefficients(updates + np.arange(series * count), learning_rates.ravel())
        padded = np.zeros((len(numbers), series, calls * c), np.float32)
        padded[:, :, :count] = numbers.reshape(-1, series, count)
        by_call = np.ascontiguousarray(padded.reshape(-1, series * calls, c).swapaxes(0, 1))
        flat = order.reshape(-1, c), live.reshape(-1, c), by_call
        told = list(zip(*(torch.from_numpy(array).unbind() for array in flat), strict=True))
        return [told[i : i + calls] for i in range(0, len(told), calls)]

    def refresh(
        self, batches: Sequence[UpdateBatch], updates: int, learning_rates: NDArray[np.float64]
    ) -> Sequence[UpdateBatch]:
        """The same series in another place, changed in place: ``updates`` before it, and ``learning_rates [count]`` of its pushes, the
        same array as long as they do not change."""
        numbers = self._coefficients(updates, learning_rates)
        if batches is not self._refreshed:
            self._refreshed, self._coefficient_views = batches, [call[-1].numpy() for call in batches]
        for i, view in enumerate(self._coefficient_views):
            part = numbers[:, i * self._batch_size : (i + 1) * self._batch_size]
            view[:, : part.shape[1]] = part
        return batches

    def _coefficients(self, updates: int, learning_rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """The optimiser's, ``[m, count]``; looked up where all rates are the same and stay so."""
        count = len(learning_rates)
        known_before = learning_rates is self._learning_rates
        if not known_before:
            self._learning_rates, self._equal_learning_rates, self._coefficient_cache = (
                learning_rates,
                bool((learning_rates == learning_rates[0]).all()),
                None,
            )
        if not (known_before and self._equal_learning_rates):
            return self._optimizer.coefficients(updates + np.arange(count), learning_rates)
        if self._coefficient_cache is None or not 0 <= updates - self._cache_start <= self._coefficient_cache.shape[1] - count:
            self._cache_start = updates
            ahead = updates + np.arange(_CACHE_SIZE + count)
            self._coefficient_cache = self._optimizer.coefficients(ahead, np.full(len(ahead), learning_rates[0]))
        first = updates - self._cache_start
        return self._coefficient_cache[:, first : first + count]

    def push(
        self,
        weights: Tensor,
        optimizer_state: Tensor,
        gradients: Tensor,
        worker_weights: Tensor,
        batches: Sequence[UpdateBatch],
    ) -> None:
        """Push in order. Call in inference mode.

        Args:
            weights: ``[P]`` the shared weights, changed in place.
            optimizer_state: ``[state_rows, P]`` the optimiser's, likewise.
            gradients: ``[N, P]`` each worker's, contiguous.
            worker_weights: ``[N, P]`` each worker's copy of the weights: whoever pushed pulls at once.
            batches: one of those lined up.
        """
        for numbers in batches:
            self._run(self._no_weights, weights, optimizer_state, gradients, worker_weights, *numbers)

    def push_one(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        """The push of the only worker there is, called like ``Optimizer.step``; bit for bit what ``push`` makes of it."""
        if self._single_update is None or self._single_update[0][0] != lr:
            rates = np.array([lr])
            (calls,) = self.prepare(np.zeros((1, 1), np.int64), updates, rates[np.newaxis])
            self._single_update = rates, calls, torch.zeros(1, self._size)
        rates, calls, own = self._single_update
        with torch.inference_mode():
            self.push(weights, optimizer_state, gradient.unsqueeze(0), own, self.refresh(calls, updates, rates))

    def _uncompiled(
        self,
        _: Tensor,
        weights: Tensor,
        optimizer_state: Tensor,
        gradients: Tensor,
        worker_weights: Tensor,
        order: Tensor,
        active: Tensor,
        coefficients: Tensor,
    ) -> Sequence[Tensor]:
        ordered = gradients.index_select(0, order).unbind()
        now, kept, pulled = weights, optimizer_state.unbind(), []
        for gradient, lives, numbers in zip(ordered, active.unbind(), coefficients.unbind(1), strict=True):
            new, new_state = self._optimizer.functional_step(now, gradient, kept, numbers)
            now = torch.where(lives, new, now)
            kept = tuple(torch.where(lives, one, old) for one, old in zip(new_state, kept, strict=True))
            pulled.append(now)
        before = worker_weights.index_select(0, order)
        worker_weights.index_copy_(0, order, torch.where(active.unsqueeze(1), torch.stack(pulled), before))
        weights.copy_(now)
        if kept:
            optimizer_state.copy_(torch.stack(kept))
        return ()
