"""Updates that follow each other directly: one call of compiled code applies them one by one, with a pull after each."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.normalization import NormalizingOptimizer
from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.vectorize import compile_checked
from a3c_exp.models.normalization import Moments
from a3c_exp.optimizers.base import FunctionalOptimizer, Optimizer
from a3c_exp.parallelism.worker_group import WorkerGroup

_MAX_BATCH_SIZE = 16  # updates of one call; a longer series takes several. The compiled code grows with it.
_CACHE_SIZE = 1024  # updates whose coefficients are computed at once, where learning rates do not change

UpdateBatch = Sequence[Tensor]
"""What a call is given besides weights and gradients: ``c`` different workers in order ``[c]``, which of them push ``[c]``, and
the optimizer's coefficients ``[m, c]``."""


class SequentialUpdates:
    """Applies the gradients of N ``workers`` in a given order, each to the P = ``size`` weights that the one before left, of
    which the last ``statistics_size`` are running statistics; ``merges``: whether they take up what gradients add to them."""

    def __init__(
        self, optimizer: FunctionalOptimizer, workers: int, size: int, statistics_size: int = 0, merges: bool = False
    ) -> None:
        self._optimizer, self._statistics_size, self._merges = optimizer, statistics_size, merges
        self.batch_size = min(workers, _MAX_BATCH_SIZE)
        self._size, self._workers = size, workers
        self._no_weights = torch.zeros(1, 1)  # no weights of which views would be kept
        self._run: TensorFunction = self._uncompiled
        # Coefficients that were computed ahead, for these learning rates as long as they stay the same.
        self._learning_rates: NDArray[np.float64] | None = None
        self._coefficient_cache: NDArray[np.float64] | None = None
        self._equal_learning_rates, self._cache_start = False, 0
        # The series that was refreshed last, and its coefficients as numpy sees them.
        self._refreshed: Sequence[UpdateBatch] = ()
        self._coefficient_views: list[NDArray[np.float32]] = []
        # What ``push_one`` calls ``push`` with.
        self._single_update: tuple[NDArray[np.float64], Sequence[UpdateBatch], Tensor] | None = None

    @classmethod
    def try_compile(
        cls, worker_group: WorkerGroup, optimizer: Optimizer, workers_per_training: int
    ) -> "SequentialUpdates | None":
        """For trainings of ``workers_per_training`` of these workers each; ``None`` where that is impossible."""
        statistics_size, merges = 0, False
        if isinstance(optimizer, NormalizingOptimizer):
            statistics_size, merges, optimizer = optimizer.size, optimizer.merges, optimizer.optimizer
        if worker_group.compiler is None or not worker_group.stackable or not isinstance(optimizer, FunctionalOptimizer):
            return None
        updates = cls(optimizer, workers_per_training, worker_group.layout.size, statistics_size, merges)
        return updates if updates.compile(worker_group.compiler) else None

    def compile(self, compiler: Compiler) -> bool:
        rows, n, p = self._optimizer.state_rows, self._workers, self._size
        zeros = np.zeros((1, self.batch_size))
        ((numbers,),) = self.prepare(zeros.astype(np.int64), 0, zeros)
        inputs = [torch.zeros(p), torch.zeros(rows, p), torch.zeros(n, p), torch.zeros(n, p), *numbers]
        compiled = compile_checked(partial(self._uncompiled, self._no_weights), self._no_weights, inputs, compiler, "pushing")
        if compiled is None:
            return False
        self._run = compiled
        return True

    def prepare(
        self, orders: NDArray[np.int64], updates: int, learning_rates: NDArray[np.float64]
    ) -> Sequence[Sequence[UpdateBatch]]:
        """The inputs of the calls for several series of updates; for each series, those of its calls in order.

        Args:
            orders, learning_rates: ``[series, count]`` whose gradient comes first, and so on; no worker twice in a series.
            updates: how many updates came before the first.
        """
        (series, count), c = orders.shape, self.batch_size
        calls = -(-count // c)
        order, active = np.zeros((series, calls * c), np.int64), np.zeros((series, calls * c), np.bool_)
        order[:, :count], active[:, :count] = orders, True
        if count < calls * c:
            workers, first = np.arange(self._workers), (calls - 1) * c
            for row in order:
                row[count:] = np.setdiff1d(workers, row[first:count])[: calls * c - count]
        numbers = self._optimizer.coefficients(updates + np.arange(series * count), learning_rates.ravel())
        padded = np.zeros((len(numbers), series, calls * c), np.float32)
        padded[:, :, :count] = numbers.reshape(-1, series, count)
        by_call = np.ascontiguousarray(padded.reshape(-1, series * calls, c).swapaxes(0, 1))
        flat = order.reshape(-1, c), active.reshape(-1, c), by_call
        batches = list(zip(*(torch.from_numpy(array).unbind() for array in flat), strict=True))
        return [batches[i : i + calls] for i in range(0, len(batches), calls)]

    def refresh(
        self, batches: Sequence[UpdateBatch], updates: int, learning_rates: NDArray[np.float64]
    ) -> Sequence[UpdateBatch]:
        """Change the ``batches`` of one series in place, for as many ``updates`` before it and other ``learning_rates
        [count]``: the same array as long as they do not change."""
        numbers = self._coefficients(updates, learning_rates)
        if batches is not self._refreshed:
            self._refreshed, self._coefficient_views = batches, [call[-1].numpy() for call in batches]
        for i, view in enumerate(self._coefficient_views):
            part = numbers[:, i * self.batch_size : (i + 1) * self.batch_size]
            view[:, : part.shape[1]] = part
        return batches

    def _coefficients(self, updates: int, learning_rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """The optimizer's, ``[m, count]``; looked up where all rates are the same and stay so."""
        count, unchanged = len(learning_rates), learning_rates is self._learning_rates
        if not unchanged:
            self._learning_rates, self._coefficient_cache = learning_rates, None
            self._equal_learning_rates = bool((learning_rates == learning_rates[0]).all())
        if not (unchanged and self._equal_learning_rates):
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
        """Apply one series in order. Call in inference mode.

        Args:
            weights, optimizer_state: ``[P]`` and ``[state_rows, P]``, changed in place.
            gradients: ``[N, P]`` each worker's, contiguous.
            worker_weights: ``[N, P]`` each worker's copy of the weights: a worker pulls right after its own push.
            batches: from ``prepare``.
        """
        for numbers in batches:
            self._run(self._no_weights, weights, optimizer_state, gradients, worker_weights, *numbers)

    def push_one(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        """The update of a training with one gradient a round, called like ``Optimizer.step``; same bits as ``push``."""
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
        new, pulled = self._trained(weights), list[Tensor]()
        trained_state = self._trained(optimizer_state)
        state = trained_state.unbind()
        for gradient, is_active, numbers in zip(ordered, active.unbind(), coefficients.unbind(1), strict=True):
            stepped, stepped_state = self._optimizer.functional_step(new, self._trained(gradient), state, numbers)
            new = torch.where(is_active, stepped, new)
            state = tuple(torch.where(is_active, row, old) for row, old in zip(stepped_state, state, strict=True))
            pulled.append(new)
        before, pushes = worker_weights.index_select(0, order), active.unsqueeze(1)
        if self._statistics_size:
            # Apart from that chain, through which compiled code takes each weight in one go.
            statistics = self._merged([gradient[-self._statistics_size :] for gradient in ordered], active, weights)
            rows = torch.cat([part for parts in zip(pulled, statistics, strict=True) for part in parts]).view_as(before)
            new = rows[-1]
        else:
            rows = torch.stack(pulled)
        worker_weights.index_copy_(0, order, torch.where(pushes, rows, before))
        weights.copy_(new)
        if state:
            trained_state.copy_(torch.stack(state))
        return ()

    def _trained(self, vectors: Tensor) -> Tensor:
        """``vectors [..., P]`` without the places of running statistics."""
        return vectors[..., : -self._statistics_size] if self._statistics_size else vectors

    def _merged(self, windows: Sequence[Tensor], active: Tensor, weights: Tensor) -> Sequence[Tensor]:
        """The packed moments after each of these windows."""
        statistics = weights[-self._statistics_size :]
        if not self._merges:
            return [statistics] * len(windows)
        moments, after = Moments.unpack(statistics), list[Moments]()
        for window, is_active in zip(windows, active.unbind(), strict=True):
            merged = moments.merge(Moments.unpack(window)).rounded()
            moments = Moments(*(torch.where(is_active, *parts) for parts in zip(merged, moments, strict=True)))
            after.append(moments)
        return Moments(*(torch.stack(parts) for parts in zip(*after, strict=True))).pack().unbind()
