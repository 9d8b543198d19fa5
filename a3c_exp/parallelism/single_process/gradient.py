"""A gradient on its way to its push, with what is to be booked then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode


@dataclass(frozen=True)
class WorkerGradient:
    """What one push carries: a worker's window, or the windows of all workers made into one.

    Attributes:
        gradient: ``[P]``.
        window_stats: ``[len(Stat)]``.
        workers, steps: who lived the windows, and how many environment steps each.
        ended: the episodes that ended in them; ``worker`` counts within the training.
    """

    gradient: Tensor
    window_stats: NDArray[np.float32]
    workers: Sequence[int]
    steps: Sequence[int]
    ended: Sequence[EndedEpisode]

    def state_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "gradient": self.gradient.detach().cpu().clone(),
            "window_stats": torch.from_numpy(self.window_stats.copy()),
            "workers": list(self.workers),
            "steps": list(self.steps),
            "ended": [dict(vars(episode)) for episode in self.ended],
        }

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any], device: torch.device) -> "WorkerGradient":
        """The reverse of ``state_dict``."""
        return cls(
            state_dict["gradient"].to(device),
            state_dict["window_stats"].numpy(),
            state_dict["workers"],
            state_dict["steps"],
            [EndedEpisode(**episode) for episode in state_dict["ended"]],
        )


def episodes_of_workers(ended: Iterable[EndedEpisode], first: int, count: int) -> list[EndedEpisode]:
    """Those episodes whose worker is one of ``count`` from ``first`` on, renumbered from 0."""
    return [replace(one, worker=one.worker - first) for one in ended if first <= one.worker < first + count]
