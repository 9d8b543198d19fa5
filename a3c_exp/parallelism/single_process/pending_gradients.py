"""Windows that are computed and wait for their push, of the workers of one training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.single_process.gradient import WorkerGradient, episodes_of_workers
from a3c_exp.parallelism.worker_group import RoundResult


class PendingGradients:
    """At most one of each worker.

    Args:
        workers: N.
        num_stats: S numbers that come with each gradient.

    Attributes:
        is_pending: ``[N]`` who has one.
        window_stats: ``[N, S]``.
        steps: ``[N]`` environment steps of each.
        ended: the episodes that ended in them, by worker; nobody stands there in vain.
    """

    def __init__(self, workers: int, num_stats: int) -> None:
        self.is_pending = np.zeros(workers, np.bool_)
        self.window_stats = np.zeros((workers, num_stats), np.float32)
        self.steps = np.zeros(workers, np.int64)
        self.ended: dict[int, list[EndedEpisode]] = {}
        self._rows: list[Tensor] = [torch.zeros(0)] * workers
        self._stacked: Tensor | None = None  # the same as the rows, where they lie together

    def add(self, result: RoundResult, first: int, participants: NDArray[np.int64]) -> None:
        """Take in what a round brought for ``participants``; worker 0 is the round's ``first``."""
        behind = first + len(self.is_pending)
        if len(participants) == len(self.is_pending):
            self.window_stats, self.steps = result.window_stats[first:behind], result.steps[first:behind].copy()
            self._stacked = result.gradients[first:behind]
            self.is_pending[:] = True
        else:
            self._unstack()
            self.window_stats = self.window_stats.copy()
            for worker in participants.tolist():
                self._rows[worker] = result.gradients[first + worker]
            self.window_stats[participants] = result.window_stats[first + participants]
            self.steps[participants] = result.steps[first + participants]
            self.is_pending[participants] = True
        if result.ended:
            for one in episodes_of_workers(result.ended, first, len(self.is_pending)):
                self.ended.setdefault(one.worker, []).append(one)

    def _unstack(self) -> None:
        if self._stacked is not None:
            self._rows, self._stacked = list(self._stacked.unbind()), None

    def gradients(self) -> Tensor:
        """``[N, P]``; rows of those who have none mean nothing."""
        if self._stacked is None:
            some = next(row for row in self._rows if len(row))
            self._stacked = torch.stack([row if len(row) else torch.zeros_like(some) for row in self._rows])
        return self._stacked

    def discard(self, order: NDArray[np.int64]) -> None:
        """These wait no longer."""
        self.is_pending[order] = False
        if self.ended:
            for worker in order.tolist():
                self.ended.pop(worker, None)

    def pop(self, worker: int) -> WorkerGradient:
        """A worker's, which waits no longer."""
        one = self._gradient_of(worker)
        self.is_pending[worker] = False
        self.ended.pop(worker, None)
        return one

    def _gradient_of(self, worker: int) -> WorkerGradient:
        gradient = self._rows[worker] if self._stacked is None else self._stacked[worker]
        return WorkerGradient(
            gradient, self.window_stats[worker], [worker], [int(self.steps[worker])], self.ended.get(worker, [])
        )

    def state_dict(self) -> list[dict[str, Any] | None]:
        """In plain values and tensors, for a checkpoint. One that is not finite stopped the run. It is not kept, or the run
        could never go on, at whatever learning rate."""
        kept = self.is_pending & np.isfinite(self.window_stats).all(axis=1)
        return [self._gradient_of(worker).state_dict() if kept[worker] else None for worker in range(len(kept))]

    def load_state_dict(self, state_dict: Sequence[dict[str, Any] | None], device: torch.device) -> None:
        self._unstack()
        for worker, one in enumerate(state_dict):
            if one is None:
                continue
            gradient = WorkerGradient.from_state_dict(one, device)
            self._rows[worker], self.window_stats[worker], self.steps[worker] = (
                gradient.gradient,
                gradient.window_stats,
                gradient.steps[0],
            )
            self.is_pending[worker] = True
            if gradient.ended:
                self.ended[worker] = list(gradient.ended)
