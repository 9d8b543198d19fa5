"""The main agent: one process that owns weights and optimiser and applies what workers report, in order of arrival."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection

import torch

from a3c_exp.parallelism.base import TallyEvent, Task
from a3c_exp.parallelism.bell import Listener, Ringer
from a3c_exp.parallelism.committed import Account, Committed, Transactions
from a3c_exp.parallelism.ledger import Command, Ledger, Slot
from a3c_exp.parallelism.mailboxes import Mailboxes, Note
from a3c_exp.parallelism.tally import REPORT_SECONDS, Tally
from a3c_exp.parallelism.worker_process import Obedient, inside

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
    listeners: Sequence[Listener],
    ringers: Sequence[Ringer],
    pipe: Connection,
) -> None:
    """Entry of the process."""
    inside(lambda: MainAgent(task, staleness, slot, committed, mailboxes, homes, ledger, listeners, ringers, pipe).run(), pipe)


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
        listeners: a bell of each worker process, which rings when letters are in.
        ringers: a bell of each worker process, to ring when answers are.
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
        listeners: Sequence[Listener],
        ringers: Sequence[Ringer],
        pipe: Connection,
    ) -> None:
        super().__init__(slot, ledger, pipe)
        self._task = task
        self._staleness = staleness
        self._transactions = Transactions(committed)
        self._mailboxes = mailboxes
        self._notes = mailboxes.notes.numpy()
        self._figures = mailboxes.figures.numpy()
        self._homes = [(home[0], home[-1] + 1) for home in homes]
        self._home_of = {worker: number for number, home in enumerate(homes) for worker in home}
        self._listeners = listeners
        self._ringers = ringers
        self._rates = [task.lr(task.seed, worker) for worker in range(task.workers)]
        self._scaled = torch.empty(0)
        self._tally = Tally()
        self._tally_due = 0.0

    def run(self) -> None:
        """Serve until the ledger is closed and every letter is answered, or the main process is gone."""
        self._show_books()  # a predecessor may have died between a commit and this
        while not self._orphaned():
            self._attend()
            waiting = self._mailboxes.waiting()
            if len(waiting):
                self._row[Slot.queue_most] = max(self._row[Slot.queue_most], len(waiting))
                for worker in waiting.tolist():
                    self._serve(worker)
                    if self._ledger.command is Command.pause:
                        break
            elif self._ledger.command is Command.close:
                break
            else:
                Listener.wait_for(self._listeners, self._pipe, _IDLE_SECONDS)
            now = time.monotonic()
            if now >= self._tally_due:
                self._send_tally(now)
        self._send_tally(time.monotonic())

    def _serve(self, worker: int) -> None:
        note = self._notes[worker]
        # One that is settled already was answered by nobody: a predecessor died between the two.
        if note[Note.gradient] and self._transactions.books[len(Account) + worker] < note[Note.sent]:
            self._take_in(worker)
        self._mailboxes.answer(worker, self._transactions.weights, self._updates())
        self._row[Slot.heartbeat] = time.monotonic_ns()
        home = self._home_of[worker]
        first, last = self._homes[home]
        if (self._notes[first:last, Note.sent] == self._notes[first:last, Note.answered]).all():
            self._ringers[home].ring()  # once for all workers of a process: it goes on when all have their weights

    def _take_in(self, worker: int) -> None:
        """Settle a gradient: a transaction of its own."""
        note, figures = self._notes[worker], self._figures[worker]
        updates = self._updates()
        lag = updates - int(note[Note.pulled_at])
        bound = self._staleness.max_lag
        stale = bound is not None and lag > bound
        dropped = stale and self._staleness.on_stale is OnStale.drop

        draft = self._transactions.begin()
        draft[Account.env_steps] += note[Note.steps]
        draft[len(Account) + worker] = note[Note.sent]
        if dropped:
            draft[Account.dropped] += 1
        else:
            gradient = self._mailboxes.letters[worker]
            if stale:
                assert bound is not None
                # Beside the letter, not in it: whoever replaces this process finds the gradient as it was sent.
                gradient = self._scaled = torch.mul(gradient, bound / lag, out=self._scaled)
                draft[Account.downweighted] += 1
            done = self._task.budget.fraction(self._ledger.episodes(), self._ledger.env_steps(), updates)
            rate = self._rates[worker] * self._task.exploration.factor(done)
            copy = self._transactions.other_copy(draft)
            self._task.optimizer.step(copy[0], gradient, copy[1:], updates, rate)
            draft[Account.updates] += 1
        self._transactions.commit()
        self._show_books()

        if not dropped:
            self._tally.add(figures, lag)
        self._tally.lived([worker], [int(note[Note.steps])], int(note[Note.cut_short]))
        after = self._staleness.reset_after_lag
        if after is not None and lag > after:
            note[Note.resets_asked] += 1

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
