"""One mailbox a worker, in shared memory: a gradient goes in, new weights come out, and whose turn it is is never in doubt."""

import time
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.window_gradient import Stat


class Note(IntEnum):
    """What stands on a mailbox. Every number has one writer, in brackets."""

    sent = 0  # number of the worker's last letter: stored last, it makes the letter the main agent's [worker]
    arrived = 1  # monotonic nanoseconds at which it was sent [worker]
    gradient = 2  # 1: it is a gradient; 0: only a wish for weights [worker]
    pulled_at = 3  # the update that the weights stood at from which it was computed [worker]
    steps = 4  # environment steps of its window [worker]
    cut_short = 5  # 1: a time limit ended an episode in it [worker]
    answered = 6  # number of the last letter that was answered: stored last, it makes the mailbox the worker's [main agent]
    answered_at = 7  # the update that the weights in the answer stand at [main agent]
    resets_asked_here = 8  # episodes that someone in the main process asked to be cut [main process]
    resets_asked = 9  # episodes that the main agent asked to be cut [main agent]
    resets_heard = 10  # of both, how many the worker has taken note of [worker]
    resets = 11  # episodes that were cut because of it [worker]


@dataclass(frozen=True)
class Mailboxes:
    """A worker never has two letters under way: that bounds the queue at one a worker, and is what makes a worker wait that is
    faster than the main agent. A letter stays as it was sent until it is answered, so that it can be served twice.

    Attributes:
        letters: ``[N, P]`` float32, shared: gradients.
        answers: ``[N, P]`` float32, shared: weights.
        figures: ``[N, len(Stat)]`` float32, shared: what goes with the gradient.
        notes: ``[N, len(Note)]`` int64, shared.
    """

    letters: Tensor
    answers: Tensor
    figures: Tensor
    notes: Tensor

    @classmethod
    def create(cls, workers: int, size: int) -> "Mailboxes":
        """Empty ones, for ``size`` weights."""
        letters, answers, figures = (torch.zeros(workers, width) for width in (size, size, len(Stat)))
        notes = torch.zeros(workers, len(Note), dtype=torch.int64)
        for tensor in (letters, answers, figures, notes):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        return cls(letters, answers, figures, notes)

    def waiting(self) -> NDArray[np.int64]:
        """The workers whose letters are not answered, in order of arrival."""
        notes = self.notes.numpy()
        found = (notes[:, Note.sent] != notes[:, Note.answered]).nonzero()[0]
        order: NDArray[np.int64] = found[np.argsort(notes[found, Note.arrived], kind="stable")]
        return order

    def send(
        self,
        worker: int,
        gradient: Tensor,
        figures: NDArray[np.float32],
        pulled_at: int,
        steps: int,
        cut_short: bool,
    ) -> None:
        """Put a ``gradient [P]`` in [worker]. Its mailbox must be the worker's."""
        note = self.notes[worker].numpy()
        assert note[Note.sent] == note[Note.answered], "a worker has one letter under way at most"
        self.letters[worker].copy_(gradient)
        self.figures[worker].numpy()[:] = figures
        note[Note.pulled_at], note[Note.steps], note[Note.cut_short] = pulled_at, steps, cut_short
        note[Note.gradient] = 1
        self._hand_over(note)

    def ask(self, worker: int) -> None:
        """Ask for weights without a gradient [worker]."""
        note = self.notes[worker].numpy()
        assert note[Note.sent] == note[Note.answered], "a worker has one letter under way at most"
        note[Note.gradient] = 0
        self._hand_over(note)

    def _hand_over(self, note: NDArray[np.int64]) -> None:
        note[Note.arrived] = time.monotonic_ns()
        # The last store: whoever is killed before it has sent nothing, however much of the letter was written.
        note[Note.sent] += 1
