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
class Gradient:
    """What one push carries: a worker's window, or the windows of all workers made into one.

    Attributes:
        gradient: ``[P]``.
        figures: ``[len(Stat)]``.
        workers, steps: who lived the windows, and how many environment steps each.
        ended: the episodes that ended in them; ``worker`` counts within the training.
    """

    gradient: Tensor
    figures: NDArray[np.float32]
    workers: Sequence[int]
    steps: Sequence[int]
    ended: Sequence[EndedEpisode]

    def plain(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "gradient": self.gradient.detach().cpu().clone(),
            "figures": torch.from_numpy(self.figures.copy()),
            "workers": list(self.workers),
            "steps": list(self.steps),
            "ended": [dict(vars(episode)) for episode in self.ended],
        }

    @classmethod
    def of(cls, plain: dict[str, Any], device: torch.device) -> "Gradient":
        """The reverse of ``plain``."""
        return cls(
            plain["gradient"].to(device),
            plain["figures"].numpy(),
            plain["workers"],
            plain["steps"],
            [EndedEpisode(**episode) for episode in plain["ended"]],
        )


def named_by_worker(ended: Iterable[EndedEpisode], first: int, count: int) -> list[EndedEpisode]:
    """Those episodes whose worker is one of ``count`` from ``first`` on, renumbered from 0."""
    return [replace(one, worker=one.worker - first) for one in ended if first <= one.worker < first + count]
