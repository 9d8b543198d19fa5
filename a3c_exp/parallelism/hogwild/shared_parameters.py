"""The shared weights and the shared optimizer state of hogwild, in one block of shared memory."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.hogwild.process_statistics import OwnStatistics, ProcessStatistics
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.shared_memory import share
from a3c_exp.system.errors import LockTimeoutError

_PUSHING = CounterColumn.pushes, CounterColumn.push_begun, CounterColumn.push_ended
_PART = 1 << 17  # weights: 512 kB; for smaller ones, the calls would cost more than the caches save
_Push = Callable[[Tensor, Tensor, int], None]
"""Writes weights ``[P]`` and optimizer state ``[rows, P]`` in place, before which so many updates were made."""


@dataclass(frozen=True)
class SharedBuffer:
    """What is sent to the processes: the memory, and whether a lock guards it.

    With a lock there are two copies of weights and optimizer state. A push writes the copy that is not in use and then switches
    with one store, so a process that is killed meanwhile leaves the weights as they were. That store holds which copy is in
    use, in the lowest bit, and the number of updates, in those above it.
    Without a lock (Recht et al. 2011, arXiv:1106.5730) there is one copy, written in place: two processes that write at the
    same moment can lose single elements of a push, and one that is killed while writing leaves that push half applied.
    """

    copies: Tensor  # [copies, 1 + state_rows, P] float32 in shared memory; row 0 of a copy is the weights
    lock_path: Path  # the lock's file; it also guards the shared counters
    locked: bool  # whether pushes take the lock
    lock_timeout: float  # seconds to wait for it
    statistics: ProcessStatistics | None = None  # without a lock, where the last weights are running statistics

    @classmethod
    def create(
        cls,
        weights: Tensor,
        optimizer_state: Tensor,
        lock_path: Path,
        locked: bool,
        lock_timeout: float,
        processes: int = 1,
        statistics_size: int = 0,
    ) -> "SharedBuffer":
        """Shared memory that starts with these ``weights [P]``, of which the last ``statistics_size`` are running statistics,
        and this ``optimizer_state [rows, P]``."""
        memory = torch.cat([weights.unsqueeze(0), optimizer_state]).unsqueeze(0).repeat(2 if locked else 1, 1, 1)
        share(memory)
        statistics = None
        if statistics_size and not locked:
            statistics = ProcessStatistics.create(processes, weights[-statistics_size:])
        return cls(memory, lock_path, locked, lock_timeout, statistics)


class SharedWeights:
    """One process's access to the shared weights; ``slot`` is its row of the shared counters, or ``None`` for the main process,
    which only reads."""

    def __init__(self, buffer: SharedBuffer, counters: SharedCounters, slot: int | None, optimizer: Optimizer) -> None:
        shared = buffer.copies.is_shared()  # type: ignore[no-untyped-call]
        assert shared, "weights must lie in shared memory, or every process would train alone"
        self._copies = buffer.copies
        self._weights, self._optimizer_state = buffer.copies[0, 0], buffer.copies[0, 1:]  # where there is one copy only
        self._locked, self._slot, self._optimizer, self._statistics = buffer.locked, slot, optimizer, buffer.statistics
        self._counters, self._control, self._table = counters, counters.control.numpy(), counters.table
        self._pushes, self._begun, self._ended = (self._table[:, which] for which in _PUSHING)
        self._own_statistics = None
        if buffer.statistics is not None and slot is not None:
            self._own_statistics = OwnStatistics(buffer.statistics, slot)
        self._offsets = np.arange(0)  # how many of this process's pushes come before each
        self.lock = OwnedLock(buffer.lock_path, counters.lock_owner, buffer.lock_timeout, self._heartbeat)

    def _heartbeat(self) -> None:
        if self._slot is not None:  # a process that waits is alive: the one that holds the lock and does nothing is not
            self._table[self._slot, CounterColumn.heartbeat] = time.monotonic_ns()

    def updates(self) -> int:
        """Updates of the shared weights so far, each counted once, also when several processes push at the same time."""
        if self._locked:
            return self._counters.base_updates + (int(self._control[1]) >> 1)
        return self._counters.base_updates + _total(self._pushes)

    def pull(self, into: Tensor) -> int:
        """Copy the shared weights into ``[P]``; returns the update they stand at."""
        if not self._locked:
            into.copy_(self._copies[0, 0])
            return self.updates()
        with self.lock:
            into.copy_(self._copies[self._control[1] & 1, 0])
            return self.updates()

    def push_all_and_pull(
        self,
        sequential_updates: SequentialUpdates,
        batches: Sequence[UpdateBatch],
        gradients: Tensor,
        worker_weights: Tensor,
        pulled_at: NDArray[np.int64],
        learning_rates: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Apply the ``gradients [K, P]`` of this process's workers one after another, each of whom pulls after its own push, in
        one pass over memory; returns the policy lags ``[K]``. Call in inference mode.

        Args:
            worker_weights: ``[K, P]`` receive the new weights.
            pulled_at: ``[K]`` what the last pulls stood at; written over.
            learning_rates: ``[K]``; the same array as long as they do not change.
        """
        count = len(learning_rates)
        if count != len(self._offsets):
            self._offsets = np.arange(count)

        def push(weights: Tensor, state: Tensor, before: int) -> None:
            fresh = sequential_updates.refresh(batches, before, learning_rates)
            sequential_updates.push(weights, state, gradients, worker_weights, fresh)
            if self._own_statistics is not None and self._own_statistics.add(gradients):
                self._renew_statistics(weights, worker_weights)

        before = self._push_locked(push, count) if self._locked else self._push_lock_free(push, count)
        numbers = before + self._offsets
        lags: NDArray[np.int64] = numbers - pulled_at
        np.add(numbers, 1, out=pulled_at)
        return lags

    def push_and_pull(self, gradient: Tensor, into: Tensor, pulled_at: int, lr: float | None = None) -> tuple[int, int]:
        """Apply a gradient ``[P]`` once, computed from weights pulled at update ``pulled_at``, then pull into ``[P]``; returns
        the policy lag, in updates, and the update that ``into`` stands at. ``lr=None`` takes the optimizer's own."""
        rate = self._optimizer.lr if lr is None else lr

        def push(weights: Tensor, state: Tensor, before: int) -> None:
            self._optimizer.step(weights, gradient, state, before, rate)
            if self._own_statistics is not None and self._own_statistics.add(gradient.unsqueeze(0)):
                self._renew_statistics(weights)
            into.copy_(weights)

        before = self._push_locked(push, 1) if self._locked else self._push_lock_free(push, 1)
        return before - pulled_at, before + 1 if self._locked else self.updates()

    def push_each_then_pull(
        self, gradients: Sequence[Tensor], into: Tensor, pulled_at: NDArray[np.int64], lrs: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], int]:
        """Apply each of these ``gradients [P]`` once, one after another, then pull into all rows of ``into [R, P]``; returns
        the policy lags, in updates, and the update that ``into`` stands at.

        They go through memory together, a part of the weights after the other, if the optimizer treats each weight by itself.
        """
        rates = lrs.tolist()

        def push(weights: Tensor, state: Tensor, before: int) -> None:
            for part in _parts(len(weights)) if getattr(self._optimizer, "elementwise", False) else [slice(None)]:
                for i, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
                    self._optimizer.step(weights[part], gradient[part], state[:, part], before + i, rate)
            if self._own_statistics is not None and self._own_statistics.add(torch.stack(list(gradients))):
                self._renew_statistics(weights)
            into.copy_(weights)

        count = len(gradients)
        before = self._push_locked(push, count) if self._locked else self._push_lock_free(push, count)
        return before + np.arange(count) - pulled_at, before + count if self._locked else self.updates()

    def _renew_statistics(self, *weights: Tensor) -> None:
        """Put what all processes have merged among these weights ``[..., P]``."""
        assert self._statistics is not None
        total = self._statistics.total(with_pending=False)
        for vectors in weights:
            vectors[..., -len(total) :] = total

    def _push_locked(self, push: _Push, count: int) -> int:
        """Make so many updates; how many there were before."""
        with self.lock:
            word = int(self._control[1])
            before, used = self._counters.base_updates + (word >> 1), word & 1
            new = self._copies[1 - used]
            new.copy_(self._copies[used])
            push(new[0], new[1:], before)
            self._control[1] = ((word >> 1) + count) << 1 | (1 - used)  # the one store that makes it happen
            self._table[self._slot, CounterColumn.pushes] += count
            return before

    def _push_lock_free(self, push: _Push, count: int) -> int:
        row = self._table[self._slot]
        finished = _total(self._ended)
        before = self._counters.base_updates + _total(self._pushes)
        row[CounterColumn.push_begun] += count
        started = _total(self._begun)
        push(self._weights, self._optimizer_state, before)
        alone = started == finished + count and _total(self._begun) == started
        row[CounterColumn.push_ended] += count
        row[CounterColumn.pushes] += count
        row[CounterColumn.overlapping] += 0 if alone else count
        return before

    def read(self) -> tuple[Tensor, Tensor]:
        """Copies of the weights ``[P]`` and the optimizer state ``[rows, P]``."""
        if self._locked:
            # A process that holds a lock beyond its limit is stuck, and then no other pushes.
            with contextlib.suppress(LockTimeoutError), self.lock:
                return self._copy()
        return self._copy()

    def _copy(self) -> tuple[Tensor, Tensor]:
        while True:
            word = int(self._control[1])  # stays 0 without a lock
            copy = self._copies[word & 1].clone()
            if self._statistics is not None:
                copy[0, -self._statistics.size :] = self._statistics.total()
            if int(self._control[1]) == word:  # else a push may have begun to write over what was being read
                return copy[0], copy[1:]


def _parts(size: int) -> Iterator[slice]:
    """Parts of a vector, of which gradient, weights and optimizer state fit into a core's cache together."""
    return (slice(first, first + _PART) for first in range(0, size, _PART))


def _total(column: NDArray[np.int64]) -> int:
    """The sum of a few numbers, quicker than numpy's."""
    return sum(column.tolist())
