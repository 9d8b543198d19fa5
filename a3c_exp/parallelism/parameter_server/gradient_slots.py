"""One slot for each worker, in shared memory: a gradient goes in, the weights that follow come out."""

import time
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.multiprocess.shared_memory import share


class SlotField(IntEnum):
    """The numbers of a slot. Each has one writer, in brackets."""

    sent = 0  # number of the worker's last request: stored last, it hands the slot to the server [worker]
    sent_time_ns = 1  # monotonic nanoseconds at which it was sent [worker]
    has_gradient = 2  # 1: the request has a gradient; 0: it only asks for weights [worker]
    pulled_at = 3  # the update that the weights stood at from which it was computed [worker]
    steps = 4  # environment steps of its window [worker]
    truncated = 5  # 1: a time limit ended an episode in it [worker]
    answered = 6  # number of the last request that was answered: stored last, it hands the slot to the worker [server]
    answered_at = 7  # the update that the weights in the answer stand at [server]
    resets_requested = 8  # episodes that the server asked to be cut [server]
    resets_acknowledged = 9  # of those, how many the worker has seen [worker]
    resets = 10  # episodes that were cut because of it [worker]
    episodes = 11  # how many ended in its window [worker]


@dataclass(frozen=True)
class GradientSlots:
    """A worker has one pending request, which stays as it was sent until it is answered: a replaced server serves it again."""

    gradients: Tensor  # [N, P] float32
    weights: Tensor  # [N, P] float32
    window_stats: Tensor  # [N, num_stats] float32: what goes with the gradient
    fields: Tensor  # [N, len(SlotField)] int64

    @classmethod
    def create(cls, workers: int, size: int, num_stats: int) -> "GradientSlots":
        """Empty ones, for ``size`` weights and ``num_stats`` numbers that come with a gradient."""
        gradients, weights, window_stats = (torch.zeros(workers, width) for width in (size, size, num_stats))
        fields = torch.zeros(workers, len(SlotField), dtype=torch.int64)
        share(gradients, weights, window_stats, fields)
        return cls(gradients, weights, window_stats, fields)

    def pending(self) -> NDArray[np.int64]:
        """The workers whose requests are not answered, in order of arrival."""
        fields = self.fields.numpy()
        workers = (fields[:, SlotField.sent] != fields[:, SlotField.answered]).nonzero()[0]
        order: NDArray[np.int64] = workers[np.argsort(fields[workers, SlotField.sent_time_ns], kind="stable")]
        return order

    def send(
        self,
        worker: int,
        gradient: Tensor,
        window_stats: NDArray[np.float32],
        pulled_at: int,
        steps: int,
        truncated: bool,
        episodes: int = 0,
    ) -> None:
        """Send a ``gradient [P]``, which may be in the slot already [worker]. The last request must have been answered."""
        fields = self._free_fields(worker)
        self.gradients[worker].copy_(gradient)
        self.window_stats[worker].numpy()[:] = window_stats
        fields[SlotField.pulled_at], fields[SlotField.steps], fields[SlotField.truncated] = pulled_at, steps, truncated
        fields[SlotField.episodes], fields[SlotField.has_gradient] = episodes, 1
        self._publish(fields)

    def request_weights(self, worker: int) -> None:
        """Ask for weights without a gradient [worker]."""
        fields = self._free_fields(worker)
        fields[SlotField.has_gradient] = 0
        self._publish(fields)

    def _free_fields(self, worker: int) -> NDArray[np.int64]:
        fields: NDArray[np.int64] = self.fields[worker].numpy()
        assert fields[SlotField.sent] == fields[SlotField.answered], "a worker has one pending request at most"
        return fields

    def _publish(self, fields: NDArray[np.int64]) -> None:
        fields[SlotField.sent_time_ns] = time.monotonic_ns()
        # The last store: a process that is killed before it has sent nothing, however much of the request was written.
        fields[SlotField.sent] += 1
