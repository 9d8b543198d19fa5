"""The main agent: one process that owns weights and optimiser and applies what workers report, in order of arrival."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, Tally
from a3c_exp.config.enums import Anneal
from a3c_exp.parallelism.base import TallyEvent, Task
from a3c_exp.parallelism.multiprocess.shared_counters import Command, Ledger, Slot
from a3c_exp.parallelism.multiprocess.wakeup_pipe import Listener, ring
from a3c_exp.parallelism.multiprocess.worker_process import Obedient, inside
from a3c_exp.parallelism.parameter_server.double_buffer import Account, Committed, Draft, Transactions
from a3c_exp.parallelism.parameter_server.gradient_slots import Mailboxes, Note

_IDLE_SECONDS = 0.1
"""How long it waits for a ring before it shows life and looks around."""


class OnStale(StrEnum):
    """What becomes of a gradient whose policy lag exceeds the bound."""

    drop = "drop"
    downweight = "downweight"


@dataclass(frozen=True)
class Staleness:
    """What the main agent does about gradients that come from old weights.

    Attributes:
        max_lag: the bound, in updates; ``None`` applies every gradient as it is.
        on_stale: what becomes of one beyond it: it is dropped, or multiplied by ``max_lag / lag``.
        reset_after_lag: a worker whose gradient had a larger lag than this is asked to begin a new episode; ``None``: never.
    """

    max_lag: int | None = None
    on_stale: OnStale = OnStale.drop
    reset_after_lag: int | None = None


def main(
    task: Task,
    staleness: Staleness,
    slot: int,
    committed: Committed,
    mailboxes: Mailboxes,
    homes: Sequence[Sequence[int]],
    ledger: Ledger,
    reported: Sequence[Connection],
    answered: Sequence[Connection],
    pipe: Connection,
) -> None:
    """Entry of the process."""
    inside(lambda: MainAgent(task, staleness, slot, committed, mailboxes, homes, ledger, reported, answered, pipe).run(), pipe)


@dataclass(frozen=True)
class _Settled:
    """What became of a gradient, to be told once it counts."""

    worker: int
    lag: int
    applied: bool
    downweighted: bool
    steps: int
    cut_short: int
    figures: NDArray[np.float32]


class MainAgent(Obedient):
    """Serves letters one after the other. Every gradient is settled exactly once, whoever is killed when.

    Args:
        task: what is trained.
        staleness: what becomes of old gradients.
        slot: its row in the ledger.
        committed: weights, optimiser state and books.
        mailboxes: one a worker.
        homes: the worker numbers of each worker process.
        ledger: shared counts.
        reported: a bell of each worker process, which it rings when letters are in.
        answered: a bell of each worker process, to ring when answers are.
        pipe: to the main process.
    """

    def __init__(
        self,
        task: Task,
        staleness: Staleness,
        slot: int,
        committed: Committed,
        mailboxes: Mailboxes,
        homes: Sequence[Sequence[int]],
        ledger: Ledger,
        reported: Sequence[Connection],
        answered: Sequence[Connection],
        pipe: Connection,
    ) -> None:
        super().__init__(slot, ledger, pipe)
        self._task = task
        self._staleness = staleness
        self._transactions = Transactions(committed)
        self._mailboxes = mailboxes
        self._notes = mailboxes.notes.numpy()
        self._figures = mailboxes.figures.numpy()
        self._home_of = {worker: number for number, home in enumerate(homes) for worker in home}
        self._listener = Listener(reported, pipe)
        self._answered = answered
        self._rates = [task.lr(task.seed, worker) for worker in range(task.workers)]
        self._scaled = torch.empty_like(mailboxes.letters[0]) if staleness.max_lag is not None else None
        self._tally = Tally()
        self._tally_due = 0.0

    def run(self) -> None:
        """Serve until the ledger is closed and every letter is answered, or the main process is gone."""
        self._show_books()  # a predecessor may have died between a commit and this
        while not self._orphaned():
            self._attend()
            waiting = self._mailboxes.waiting().tolist()
            if waiting:
                self._row[Slot.queue_most] = max(self._row[Slot.queue_most], len(waiting))
                for home, letters in groupby(waiting, self._home_of.__getitem__):
                    self._serve(list(letters))
                    ring(self._answered[home])
                    if self._ledger.command is Command.pause:
                        break  # the rest waits on
            elif self._ledger.command is Command.close:
                break
            else:
                self._listener.wait(_IDLE_SECONDS)
            now = time.monotonic()
            if now >= self._tally_due:
                self._send_tally(now)
        self._send_tally(time.monotonic())

    def _serve(self, workers: Sequence[int]) -> None:
        """Settle these workers' letters in this order, in one transaction, and answer each with the weights that come after its
        own gradient."""
        notes = [self._notes[worker].tolist() for worker in workers]
        draft, base = self._transactions.begin(), self._ledger.base_updates
        settled: list[_Settled] = []
        for worker, note in zip(workers, notes, strict=True):
            # A gradient that is settled, but was not answered: a predecessor died between the two.
            if note[Note.gradient] and draft.books[len(Account) + worker] < note[Note.sent]:
                settled.append(self._take_in(draft, worker, note))
            self._mailboxes.answers[worker].copy_(draft.weights)
            self._notes[worker, Note.answered_at] = base + draft.books[Account.updates]
        draft.commit()
        self._show_books()
        for worker, note in zip(workers, notes, strict=True):
            self._notes[worker, Note.answered] = note[Note.sent]
        self._row[Slot.heartbeat] = time.monotonic_ns()
        for one in settled:
            self._count(one)

    def _take_in(self, draft: Draft, worker: int, note: Sequence[int]) -> "_Settled":
        """Apply a worker's gradient, or drop it."""
        books = draft.books
        updates = self._ledger.base_updates + int(books[Account.updates])
        lag, bound = updates - note[Note.pulled_at], self._staleness.max_lag
        stale = bound is not None and lag > bound
        drop = stale and self._staleness.on_stale is OnStale.drop
        books[len(Account) + worker] = note[Note.sent]
        books[Account.env_steps] += note[Note.steps]
        if drop:
            books[Account.dropped] += 1
        else:
            gradient = self._mailboxes.letters[worker]
            if stale:
                assert bound is not None
                # Beside the letter, not in it: if this process dies, its replacement finds the gradient as it was sent.
                gradient = torch.mul(gradient, bound / lag, out=self._scaled)
                books[Account.downweighted] += 1
            weights, state = draft.change()
            self._task.optimizer.step(weights, gradient, state, updates, self._rates[worker] * self._rate_factor(draft))
            books[Account.updates] += 1
        figures = self._figures[worker].copy()
        return _Settled(worker, lag, not drop, stale and not drop, note[Note.steps], note[Note.cut_short], figures)

    def _rate_factor(self, draft: Draft) -> float:
        """What learning rates are multiplied by at this point of the budget."""
        exploration, ledger, books = self._task.exploration, self._ledger, draft.books
        if exploration.anneal is Anneal.none:
            return 1.0
        env_steps = ledger.base_steps + int(books[Account.env_steps])
        updates = ledger.base_updates + int(books[Account.updates])
        return exploration.factor(self._task.budget.fraction(ledger.episodes(), env_steps, updates))

    def _count(self, settled: "_Settled") -> None:
        worker, lag = settled.worker, settled.lag
        if settled.applied:
            self._tally.add(settled.figures, lag)
        self._tally.dropped += not settled.applied
        self._tally.downweighted += settled.downweighted
        self._tally.lived([worker], [settled.steps], settled.cut_short)
        after = self._staleness.reset_after_lag
        if after is not None and lag > after:
            self._notes[worker, Note.resets_asked] += 1

    def _show_books(self) -> None:
        """Put into the ledger what budgets are reckoned from; before the answer, which gives reservations back."""
        books = self._transactions.books
        self._row[Slot.pushes] = books[Account.updates]
        self._row[Slot.steps_done] = books[Account.env_steps]

    def _updates(self) -> int:
        return self._ledger.base_updates + int(self._transactions.books[Account.updates])

    def _send_tally(self, now: float) -> None:
        if self._tally.worker_windows.any():
            self._pipe.send(TallyEvent(self._tally))
            self._tally = Tally()
        self._tally_due = now + REPORT_SECONDS
