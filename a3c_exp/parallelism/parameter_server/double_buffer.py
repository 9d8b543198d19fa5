"""The main agent's weights and books: every update is a transaction that one store commits, so no death leaves half of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Account(IntEnum):
    """What stands where in the books; behind it, for each worker, the number of its last letter that was settled."""

    place = 0  # which of the two copies of the weights counts
    updates = 1  # gradients applied in this session
    env_steps = 2  # environment steps of windows that were settled in this session
    dropped = 3  # gradients not applied because they were too stale
    downweighted = 4  # gradients applied with less weight because they were stale


@dataclass(frozen=True)
class Committed:
    """Two copies of everything: one counts, the main agent writes the other, then one store switches.

    Attributes:
        memory: ``[2, 1 + state_rows, P]`` float32 in shared memory; row 0 of a copy is the weights.
        books: ``[2, len(Account) + N]`` int64 in shared memory.
        transactions: ``[1]`` int64 in shared memory: how many were committed. Its parity tells which books count, and these
            which weights do: a transaction that leaves the weights alone need not copy them.
    """

    memory: Tensor
    books: Tensor
    transactions: Tensor

    @classmethod
    def create(cls, weights: Tensor, state: Tensor, workers: int) -> "Committed":
        """Shared memory that begins with these ``weights [P]``, this optimiser ``state [rows, P]`` and books of zeros."""
        memory = torch.cat([weights.unsqueeze(0), state]).unsqueeze(0).repeat(2, 1, 1)
        books = torch.zeros(2, len(Account) + workers, dtype=torch.int64)
        transactions = torch.zeros(1, dtype=torch.int64)
        for tensor in (memory, books, transactions):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        return cls(memory, books, transactions)

    def account(self) -> NDArray[np.int64]:
        """A copy of the books as of one transaction."""
        while True:
            number = int(self.transactions[0])
            books = self.books[number % 2].numpy().copy()
            if int(self.transactions[0]) == number:  # else what was being read may have been written over
                return books

    def read(self) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Copies of weights ``[P]``, optimiser state ``[rows, P]`` and books, all as of one transaction.

        Of use while the main agent stands still, or is stuck within a transaction: else it may be outrun.
        """
        while True:
            number = int(self.transactions[0])
            books = self.books[number % 2].numpy().copy()
            copy = self.memory[books[Account.place]].clone()
            if int(self.transactions[0]) == number:
                return copy[0], copy[1:], books


class Draft:
    """A transaction under way. Nobody reads what it writes until ``commit``.

    Attributes:
        books: to be changed in place.
        weights: ``[P]`` as they stand in this transaction; not to be changed.
    """

    def __init__(self, copies: Sequence[tuple[Tensor, Tensor, Tensor]], books: NDArray[np.int64], number: NDArray[np.int64]):
        self._copies = copies
        self._number = number
        count = int(number[0])
        self.books: NDArray[np.int64] = books[(count + 1) % 2]
        self.books[:] = books[count % 2]
        self._place = int(self.books[Account.place])
        self._changes = False
        self.weights = copies[self._place][1]

    def change(self) -> tuple[Tensor, Tensor]:
        """Weights ``[P]`` and optimiser state ``[rows, P]``, to be changed in place."""
        if not self._changes:
            self._changes = True
            before, after = self._copies[self._place], self._copies[1 - self._place]
            after[0].copy_(before[0])
            self.books[Account.place] = self._place = 1 - self._place
            self.weights = after[1]
        return self._copies[self._place][1:]

    def commit(self) -> None:
        """The one store that makes all of it count."""
        self._number[0] += 1


class Transactions:
    """The main agent's hand on them: the only one that writes. A replacement goes on from what was committed."""

    def __init__(self, committed: Committed) -> None:
        self._copies = [(copy, copy[0], copy[1:]) for copy in committed.memory]
        self._books = committed.books.numpy()
        self._number = committed.transactions.numpy()

    @property
    def books(self) -> NDArray[np.int64]:
        """The books that count; a view, to be read only."""
        books: NDArray[np.int64] = self._books[self._number[0] % 2]
        return books

    def begin(self) -> Draft:
        """The next transaction; one that was begun and not committed never was."""
        return Draft(self._copies, self._books, self._number)
