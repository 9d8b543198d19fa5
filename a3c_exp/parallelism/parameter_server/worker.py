"""The inside of one worker process of the parameter server: K workers that report gradients and wait for their own answers."""

from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import Task
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import Ledger, Slot
from a3c_exp.parallelism.multiprocess.wakeup_pipe import Listener, ring
from a3c_exp.parallelism.multiprocess.worker_process import Placement, WorkerProcess, inside
from a3c_exp.parallelism.parameter_server.gradient_slots import Mailboxes, Note
from a3c_exp.parallelism.worker_group import Round

_WAIT_SECONDS = 0.1
"""How long it waits for a ring before it shows life and looks around."""


def main(
    task: Task,
    placement: Placement,
    mailboxes: Mailboxes,
    ledger: Ledger,
    lock_path: Path,
    reported: Connection,
    answered: Connection,
    pipe: Connection,
) -> None:
    """Entry of the process."""
    inside(lambda: ReportingWorkers(task, placement, mailboxes, ledger, lock_path, reported, answered, pipe).run(), pipe)


class ReportingWorkers(WorkerProcess):
    """K stacked workers and their mailboxes.

    Args:
        task: what is trained.
        placement: which workers live here.
        mailboxes: of all workers.
        ledger: shared counts.
        lock_path: of the lock that is held by whoever takes from a budget.
        reported: a bell to ring when letters are in.
        answered: a bell that the main agent rings when answers are.
        pipe: to the main process.
    """

    def __init__(
        self,
        task: Task,
        placement: Placement,
        mailboxes: Mailboxes,
        ledger: Ledger,
        lock_path: Path,
        reported: Connection,
        answered: Connection,
        pipe: Connection,
    ) -> None:
        owner = ledger.control.numpy()[2:3]
        # Who waits for the lock is not dead: who holds it and does nothing is.
        lock = OwnedLock(lock_path, owner, placement.lock_timeout, self._show_life)
        super().__init__(task, placement, ledger, lock, pipe)
        self._mailboxes = mailboxes
        first, last = self._ids[0], self._ids[-1] + 1
        self._notes = mailboxes.notes.numpy()[first:last]
        self._answers = mailboxes.answers[first:last]
        self._reported = reported
        self._listener = Listener([answered], pipe)
        self._pulled_at = [0] * len(self._ids)

    def _begin(self) -> None:
        self._await_answers()  # to what a predecessor reported: until then its steps stay reserved, and its mailboxes full
        self._ledger.settle_steps(self._slot, 0)
        self._notes[:, Note.resets_heard] = self._resets_asked()  # its episodes are gone anyway
        for worker in self._ids:
            self._mailboxes.ask(worker)
        ring(self._reported)
        self._await_answers()
        self._pull(range(len(self._ids)))

    def _exchange(self, done: Round, sound: Sequence[int]) -> None:
        cut_short = {episode.worker for episode in done.ended if episode.end == "truncated"}
        for k in sound:
            self._mailboxes.send(
                self._ids[k], done.gradients[k], done.figures[k], self._pulled_at[k], int(done.steps[k]), k in cut_short
            )
        ring(self._reported)
        self._await_answers()
        self._pull(sound)

    def _pull(self, workers: Sequence[int]) -> None:
        for k in workers:
            self._workers.weights[k].copy_(self._answers[k])
            self._pulled_at[k] = int(self._notes[k, Note.answered_at])

    def _settle(self, done: Round) -> None:
        # What was reported is in the main agent's books by now; what was reserved beyond it goes back.
        self._ledger.settle_steps(self._slot, 0)

    def _await_answers(self) -> None:
        """Wait for this process's own answers, alive; also when told to stop, for the main agent ends after all workers."""
        while (self._notes[:, Note.sent] != self._notes[:, Note.answered]).any():
            self._show_life()
            if self._orphaned():
                raise EOFError
            self._listener.wait(_WAIT_SECONDS)

    def _resets_asked(self) -> NDArray[np.int64]:
        """How often each worker was asked so far, by anyone, ``[K]``."""
        asked: NDArray[np.int64] = self._notes[:, Note.resets_asked] + self._notes[:, Note.resets_asked_here]
        return asked

    def _between_rounds(self) -> None:
        """Cut the episodes that someone asked to be cut."""
        asked = self._resets_asked()
        for k in (asked > self._notes[:, Note.resets_heard]).nonzero()[0].tolist():
            episode = self._workers.episodes.cut(k)
            self._notes[k, Note.resets_heard] = asked[k]
            if episode is not None:
                self._notes[k, Note.resets] += 1
                self._report([episode])

    def _updates(self) -> int:
        return self._ledger.base_updates + int(self._ledger.table[:, Slot.pushes].sum())
