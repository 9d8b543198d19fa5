"""Gradients that are computed and not applied yet, with all that is counted when they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.worker_group import RoundResult


@dataclass(frozen=True)
class WorkerGradient:
    """What one update applies: the gradient of a worker's window, or of all workers' windows together."""

    gradient: Tensor  # [P]
    window_stats: NDArray[np.float32]  # [S]
    workers: Sequence[int]  # whose windows it is of
    steps: Sequence[int]  # how many environment steps each has
    ended: Sequence[EndedEpisode]  # in them; ``worker`` counts within the training

    def state_dict(self) -> dict[str, Any]:
        return {
            "gradient": self.gradient.detach().cpu().clone(),
            "window_stats": torch.from_numpy(self.window_stats.copy()),
            "workers": list(self.workers),
            "steps": list(self.steps),
            "ended": [dict(vars(episode)) for episode in self.ended],
        }


class PendingGradients:
    """At most one gradient of each of N ``workers`` of a training, with ``num_stats`` = S numbers each.

    Attributes:
        is_pending, steps, window_stats: ``[N]`` which workers have one, of how many environment steps, and ``[N, S]``.
        ended: the episodes that ended in them, by worker; only workers with such episodes have an entry.
    """

    def __init__(self, workers: int, num_stats: int) -> None:
        self.is_pending = np.zeros(workers, np.bool_)
        self.window_stats = np.zeros((workers, num_stats), np.float32)
        self.steps = np.zeros(workers, np.int64)
        self.ended: dict[int, list[EndedEpisode]] = {}
        self._rows: list[Tensor] = [torch.zeros(0)] * workers
        self._stacked: Tensor | None = None  # the same as the rows, where they lie together

    @property
    def ended_episodes(self) -> int:
        return sum(len(episodes) for episodes in self.ended.values())

    def add(self, result: RoundResult, participants: NDArray[np.int64]) -> None:
        """Keep what a round brought for these workers."""
        if len(participants) == len(self.is_pending):
            self.window_stats, self.steps, self._stacked = result.window_stats, result.steps.copy(), result.gradients
        else:
            self._unstack()
            self.window_stats = self.window_stats.copy()
            for worker in participants.tolist():
                self._rows[worker] = result.gradients[worker]
            self.window_stats[participants] = result.window_stats[participants]
            self.steps[participants] = result.steps[participants]
        self.is_pending[participants] = True
        for episode in result.ended:
            self.ended.setdefault(episode.worker, []).append(episode)

    def _unstack(self) -> None:
        if self._stacked is not None:
            self._rows, self._stacked = list(self._stacked.unbind()), None

    def gradients(self) -> Tensor:
        """``[N, P]``; rows of workers without a pending gradient mean nothing."""
        if self._stacked is None:
            like = next(row for row in self._rows if len(row))
            self._stacked = torch.stack([row if len(row) else torch.zeros_like(like) for row in self._rows])
        return self._stacked

    def discard(self, workers: NDArray[np.int64]) -> None:
        """Forget these workers' gradients, which were applied."""
        self.is_pending[workers] = False
        if self.ended:
            for worker in workers.tolist():
                self.ended.pop(worker, None)

    def pop(self, worker: int) -> WorkerGradient:
        gradient = self._worker_gradient(worker)
        self.is_pending[worker] = False
        self.ended.pop(worker, None)
        return gradient

    def _worker_gradient(self, worker: int) -> WorkerGradient:
        gradient = self._rows[worker] if self._stacked is None else self._stacked[worker]
        steps, ended = int(self.steps[worker]), self.ended.get(worker, [])
        return WorkerGradient(gradient, self.window_stats[worker], [worker], [steps], ended)

    def state_dict(self) -> list[dict[str, Any] | None]:
        """By worker. A gradient that is not finite stopped the run and is left out: with it no run could go on."""
        saved = self.is_pending & np.isfinite(self.window_stats).all(axis=1)
        return [self._worker_gradient(worker).state_dict() if saved[worker] else None for worker in range(len(saved))]

    def load_state_dict(self, state_dict: Sequence[dict[str, Any] | None], device: torch.device) -> None:
        self._unstack()
        for worker, saved in enumerate(state_dict):
            if saved is not None:
                self._rows[worker] = saved["gradient"].to(device)
                self.window_stats[worker], self.steps[worker] = saved["window_stats"].numpy(), saved["steps"][0]
                self.is_pending[worker] = True
                if saved["ended"]:
                    self.ended[worker] = [EndedEpisode(**episode) for episode in saved["ended"]]
