"""Windows that are computed and wait for their push, of the workers of one training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.window_gradient import Stat
from a3c_exp.parallelism.single_process.gradient import Gradient, named_by_worker
from a3c_exp.parallelism.worker_group import Round


class Windows:
    """At most one of each worker.

    Args:
        workers: N.

    Attributes:
        waiting: ``[N]`` who has one.
        figures: ``[N, len(Stat)]``.
        steps: ``[N]`` environment steps of each.
        ended: the episodes that ended in them, by worker; nobody stands there in vain.
    """

    def __init__(self, workers: int) -> None:
        self.waiting = np.zeros(workers, np.bool_)
        self.figures = np.zeros((workers, len(Stat)), np.float32)
        self.steps = np.zeros(workers, np.int64)
        self.ended: dict[int, list[EndedEpisode]] = {}
        self._rows: list[Tensor] = [torch.zeros(0)] * workers
        self._block: Tensor | None = None  # the same as the rows, where they lie together

    def take(self, done: Round, first: int, participants: NDArray[np.int64]) -> None:
        """Take in what a round brought for ``participants``; worker 0 is the round's ``first``."""
        behind = first + len(self.waiting)
        if len(participants) == len(self.waiting):
            self.figures, self.steps = done.figures[first:behind], done.steps[first:behind].copy()
            self._block = done.gradients[first:behind]
            self.waiting[:] = True
        else:
            self._scatter()
            self.figures = self.figures.copy()
            for worker in participants.tolist():
                self._rows[worker] = done.gradients[first + worker]
            self.figures[participants] = done.figures[first + participants]
            self.steps[participants] = done.steps[first + participants]
            self.waiting[participants] = True
        if done.ended:
            for one in named_by_worker(done.ended, first, len(self.waiting)):
                self.ended.setdefault(one.worker, []).append(one)

    def _scatter(self) -> None:
        if self._block is not None:
            self._rows, self._block = list(self._block.unbind()), None

    def gradients(self) -> Tensor:
        """``[N, P]``; rows of those who have none mean nothing."""
        if self._block is None:
            some = next(row for row in self._rows if len(row))
            self._block = torch.stack([row if len(row) else torch.zeros_like(some) for row in self._rows])
        return self._block

    def done(self, order: NDArray[np.int64]) -> None:
        """These wait no longer."""
        self.waiting[order] = False
        if self.ended:
            for worker in order.tolist():
                self.ended.pop(worker, None)

    def pop(self, worker: int) -> Gradient:
        """A worker's, which waits no longer."""
        one = self._one(worker)
        self.waiting[worker] = False
        self.ended.pop(worker, None)
        return one

    def _one(self, worker: int) -> Gradient:
        gradient = self._rows[worker] if self._block is None else self._block[worker]
        return Gradient(gradient, self.figures[worker], [worker], [int(self.steps[worker])], self.ended.get(worker, []))

    def plain(self) -> list[dict[str, Any] | None]:
        """In plain values and tensors, for a checkpoint. One that is not finite stopped the run. It is not kept, or the run
        could never go on, at whatever learning rate."""
        kept = self.waiting & np.isfinite(self.figures).all(axis=1)
        return [self._one(worker).plain() if kept[worker] else None for worker in range(len(kept))]

    def restore(self, plain: Sequence[dict[str, Any] | None], device: torch.device) -> None:
        self._scatter()
        for worker, one in enumerate(plain):
            if one is None:
                continue
            gradient = Gradient.of(one, device)
            self._rows[worker], self.figures[worker], self.steps[worker] = (
                gradient.gradient,
                gradient.figures,
                gradient.steps[0],
            )
            self.waiting[worker] = True
            if gradient.ended:
                self.ended[worker] = list(gradient.ended)
