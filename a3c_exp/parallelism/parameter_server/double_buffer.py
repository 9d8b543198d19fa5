"""The server's weights and counters: every update is a transaction that one store commits, so no death leaves half of one."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.multiprocess.shared_memory import share


class StateField(IntEnum):
    """The columns of the counters; after them comes, for each worker, the number of its last gradient that was settled."""

    active_copy = 0  # which of the two copies of the weights is in use
    updates = 1  # gradients applied in this session
    env_steps = 2  # environment steps of windows that were settled in this session
    dropped = 3  # gradients not applied because they were too stale
    downweighted = 4  # gradients applied with less weight because they were stale
    episodes = 5  # episodes that ended in windows that were settled in this session


@dataclass(frozen=True)
class DoubleBufferedState:
    """Two copies of everything in shared memory: one is in use, the server writes the other, then one store switches. The
    parity of ``transaction_count`` tells which counters are in use, and these which weights: not every one copies weights."""

    copies: Tensor  # [2, 1 + state_rows, P] float32; row 0 of a copy is the weights
    counters: Tensor  # [2, len(StateField) + N] int64
    transaction_count: Tensor  # [1] int64: how many transactions were committed

    @classmethod
    def create(cls, weights: Tensor, optimizer_state: Tensor, workers: int) -> "DoubleBufferedState":
        """Shared memory that begins with these ``weights [P]``, this ``optimizer_state [rows, P]`` and counters of 0."""
        memory = torch.cat([weights.unsqueeze(0), optimizer_state]).unsqueeze(0).repeat(2, 1, 1)
        counters = torch.zeros(2, len(StateField) + workers, dtype=torch.int64)
        transactions = torch.zeros(1, dtype=torch.int64)
        share(memory, counters, transactions)
        return cls(memory, counters, transactions)

    def read_counters(self) -> NDArray[np.int64]:
        """A copy of the counters as of one transaction."""
        while True:
            number = int(self.transaction_count[0])
            counters = self.counters[number % 2].numpy().copy()
            if int(self.transaction_count[0]) == number:  # else what was being read may have been written over
                return counters

    def read(self) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Copies of weights ``[P]``, optimizer state ``[rows, P]`` and counters, all as of one transaction. For while the
        server is paused or stuck: otherwise it may commit faster than this can copy."""
        while True:
            number = int(self.transaction_count[0])
            counters = self.counters[number % 2].numpy().copy()
            copy = self.copies[counters[StateField.active_copy]].clone()
            if int(self.transaction_count[0]) == number:
                return copy[0], copy[1:], counters


class StateWriter:
    """The server's side: the only one that writes, in transactions. A replacement goes on from what was committed.

    Attributes:
        next_counters: of the open transaction, to be changed in place. No process reads what it writes until ``commit``.
        weights: ``[P]`` as of the open transaction; not to be changed.
    """

    def __init__(self, double_buffer: DoubleBufferedState) -> None:
        self._copies = [(copy, copy[0], copy[1:]) for copy in double_buffer.copies]
        self._counters = double_buffer.counters.numpy()
        self._transaction_count = double_buffer.transaction_count.numpy()
        self.begin()

    @property
    def counters(self) -> NDArray[np.int64]:
        """The counters in use; a view, to be read only."""
        counters: NDArray[np.int64] = self._counters[self._transaction_count[0] % 2]
        return counters

    def begin(self) -> None:
        """Open the next transaction; one that was begun and not committed has no effect."""
        self.next_counters: NDArray[np.int64] = self._counters[(self._transaction_count[0] + 1) % 2]
        self.next_counters[:] = self.counters
        self._active_copy = int(self.next_counters[StateField.active_copy])
        self._weights_changed = False
        self.weights = self._copies[self._active_copy][1]

    def writable_state(self) -> tuple[Tensor, Tensor]:
        """Weights ``[P]`` and optimizer state ``[rows, P]`` of the open transaction, to be changed in place."""
        if not self._weights_changed:
            self._weights_changed = True
            before, after = self._copies[self._active_copy], self._copies[1 - self._active_copy]
            after[0].copy_(before[0])
            self.next_counters[StateField.active_copy] = self._active_copy = 1 - self._active_copy
            self.weights = after[1]
        return self._copies[self._active_copy][1:]

    def commit(self) -> None:
        """The one store that makes all of it visible."""
        self._transaction_count[0] += 1
