"""The main agent's weights and books: every update is a transaction that one store commits, so no death leaves half of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class StateField(IntEnum):
    """What stands where in the books; behind it, for each worker, the number of its last letter that was settled."""

    active_copy = 0  # which of the two copies of the weights counts
    updates = 1  # gradients applied in this session
    env_steps = 2  # environment steps of windows that were settled in this session
    dropped = 3  # gradients not applied because they were too stale
    downweighted = 4  # gradients applied with less weight because they were stale


@dataclass(frozen=True)
class DoubleBufferedState:
    """Two copies of everything: one counts, the main agent writes the other, then one store switches.

    Attributes:
        copies: ``[2, 1 + state_rows, P]`` float32 in shared memory; row 0 of a copy is the weights.
        counters: ``[2, len(Account) + N]`` int64 in shared memory.
        transaction_count: ``[1]`` int64 in shared memory: how many were committed. Its parity tells which books count, and these
            which weights do: a transaction that leaves the weights alone need not copy them.
    """

    copies: Tensor
    counters: Tensor
    transaction_count: Tensor

    @classmethod
    def create(cls, weights: Tensor, optimizer_state: Tensor, workers: int) -> "DoubleBufferedState":
        """Shared memory that begins with these ``weights [P]``, this optimiser ``optimizer_state [rows, P]`` and books of zeros."""
        memory = torch.cat([weights.unsqueeze(0), optimizer_state]).unsqueeze(0).repeat(2, 1, 1)
        books = torch.zeros(2, len(StateField) + workers, dtype=torch.int64)
        transactions = torch.zeros(1, dtype=torch.int64)
        for tensor in (memory, books, transactions):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        return cls(memory, books, transactions)

    def read_counters(self) -> NDArray[np.int64]:
        """A copy of the books as of one transaction."""
        while True:
            number = int(self.transaction_count[0])
            books = self.counters[number % 2].numpy().copy()
            if int(self.transaction_count[0]) == number:  # else what was being read may have been written over
                return books

    def read(self) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Copies of weights ``[P]``, optimiser state ``[rows, P]`` and books, all as of one transaction.

        Of use while the main agent stands still, or is stuck within a transaction: else it may be outrun.
        """
        while True:
            number = int(self.transaction_count[0])
            books = self.counters[number % 2].numpy().copy()
            copy = self.copies[books[StateField.active_copy]].clone()
            if int(self.transaction_count[0]) == number:
                return copy[0], copy[1:], books


class Transaction:
    """A transaction under way. Nobody reads what it writes until ``commit``.

    Attributes:
        counters: to be changed in place.
        weights: ``[P]`` as they stand in this transaction; not to be changed.
    """

    def __init__(
        self, copies: Sequence[tuple[Tensor, Tensor, Tensor]], counters: NDArray[np.int64], transaction_count: NDArray[np.int64]
    ):
        self._copies = copies
        self._transaction_count = transaction_count
        count = int(transaction_count[0])
        self.counters: NDArray[np.int64] = counters[(count + 1) % 2]
        self.counters[:] = counters[count % 2]
        self._active_copy = int(self.counters[StateField.active_copy])
        self._weights_changed = False
        self.weights = copies[self._active_copy][1]

    def writable_state(self) -> tuple[Tensor, Tensor]:
        """Weights ``[P]`` and optimiser state ``[rows, P]``, to be changed in place."""
        if not self._weights_changed:
            self._weights_changed = True
            before, after = self._copies[self._active_copy], self._copies[1 - self._active_copy]
            after[0].copy_(before[0])
            self.counters[StateField.active_copy] = self._active_copy = 1 - self._active_copy
            self.weights = after[1]
        return self._copies[self._active_copy][1:]

    def commit(self) -> None:
        """The one store that makes all of it count."""
        self._transaction_count[0] += 1


class StateWriter:
    """The main agent's hand on them: the only one that writes. A replacement goes on from what was committed."""

    def __init__(self, double_buffer: DoubleBufferedState) -> None:
        self._copies = [(copy, copy[0], copy[1:]) for copy in double_buffer.copies]
        self._counters = double_buffer.counters.numpy()
        self._transaction_count = double_buffer.transaction_count.numpy()

    @property
    def counters(self) -> NDArray[np.int64]:
        """The books that count; a view, to be read only."""
        books: NDArray[np.int64] = self._counters[self._transaction_count[0] % 2]
        return books

    def begin(self) -> Transaction:
        """The next transaction; one that was begun and not committed never was."""
        return Transaction(self._copies, self._counters, self._transaction_count)
