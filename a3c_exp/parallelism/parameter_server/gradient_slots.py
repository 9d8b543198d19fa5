"""One mailbox a worker, in shared memory: a gradient goes in, new weights come out, and whose turn it is is never in doubt."""

import time
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class SlotField(IntEnum):
    """What stands on a mailbox. Every number has one writer, in brackets."""

    sent = 0  # number of the worker's last letter: stored last, it makes the letter the main agent's [worker]
    sent_time_ns = 1  # monotonic nanoseconds at which it was sent [worker]
    has_gradient = 2  # 1: it is a gradient; 0: only a wish for weights [worker]
    pulled_at = 3  # the update that the weights stood at from which it was computed [worker]
    steps = 4  # environment steps of its window [worker]
    truncated = 5  # 1: a time limit ended an episode in it [worker]
    answered = 6  # number of the last letter that was answered: stored last, it makes the mailbox the worker's [main agent]
    answered_at = 7  # the update that the weights in the answer stand at [main agent]
    resets_requested_by_main = 8  # episodes that someone in the main process asked to be cut [main process]
    resets_requested_by_server = 9  # episodes that the main agent asked to be cut [main agent]
    resets_acknowledged = 10  # of both, how many the worker has taken note of [worker]
    resets = 11  # episodes that were cut because of it [worker]


@dataclass(frozen=True)
class GradientSlots:
    """A worker never has two letters under way: that bounds the queue at one a worker, and is what makes a worker wait that is
    faster than the main agent. A letter stays as it was sent until it is answered, so that it can be served twice.

    Attributes:
        gradients: ``[N, P]`` float32, shared: gradients.
        weights: ``[N, P]`` float32, shared: weights.
        window_stats: ``[N, num_stats]`` float32, shared: what goes with the gradient.
        fields: ``[N, len(Note)]`` int64, shared.
    """

    gradients: Tensor
    weights: Tensor
    window_stats: Tensor
    fields: Tensor

    @classmethod
    def create(cls, workers: int, size: int, num_stats: int) -> "GradientSlots":
        """Empty ones, for ``size`` weights and ``num_stats`` numbers that come with a gradient."""
        letters, answers, figures = (torch.zeros(workers, width) for width in (size, size, num_stats))
        notes = torch.zeros(workers, len(SlotField), dtype=torch.int64)
        for tensor in (letters, answers, figures, notes):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        return cls(letters, answers, figures, notes)

    def pending(self) -> NDArray[np.int64]:
        """The workers whose letters are not answered, in order of arrival."""
        notes = self.fields.numpy()
        found = (notes[:, SlotField.sent] != notes[:, SlotField.answered]).nonzero()[0]
        order: NDArray[np.int64] = found[np.argsort(notes[found, SlotField.sent_time_ns], kind="stable")]
        return order

    def send(
        self,
        worker: int,
        gradient: Tensor,
        window_stats: NDArray[np.float32],
        pulled_at: int,
        steps: int,
        truncated: bool,
    ) -> None:
        """Put a ``gradient [P]`` in [worker]. Its mailbox must be the worker's."""
        note = self.fields[worker].numpy()
        assert note[SlotField.sent] == note[SlotField.answered], "a worker has one letter under way at most"
        self.gradients[worker].copy_(gradient)
        self.window_stats[worker].numpy()[:] = window_stats
        note[SlotField.pulled_at], note[SlotField.steps], note[SlotField.truncated] = pulled_at, steps, truncated
        note[SlotField.has_gradient] = 1
        self._publish(note)

    def request_weights(self, worker: int) -> None:
        """Ask for weights without a gradient [worker]."""
        note = self.fields[worker].numpy()
        assert note[SlotField.sent] == note[SlotField.answered], "a worker has one letter under way at most"
        note[SlotField.has_gradient] = 0
        self._publish(note)

    def _publish(self, fields: NDArray[np.int64]) -> None:
        fields[SlotField.sent_time_ns] = time.monotonic_ns()
        # The last store: whoever is killed before it has sent nothing, however much of the letter was written.
        fields[SlotField.sent] += 1
