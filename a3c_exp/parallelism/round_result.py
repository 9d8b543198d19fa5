"""What a round of stacked workers brings: gradients, statistics, steps and the episodes that ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode

EndedByRound = Sequence[tuple[int, Sequence[EndedEpisode]]]
"""Episodes that ended in rounds which follow each other, with the number of the round."""


@dataclass(frozen=True)
class RoundResult:
    """One window of each worker. A row whose workers all sat out has a gradient that means nothing."""

    gradients: Tensor  # [R, P], clipped if asked for; one for each worker, or for so many that follow each other
    window_stats: NDArray[np.float32]  # [R, len(statistics)]
    steps: NDArray[np.int64]  # [K] environment steps taken; 0 for a worker that sat out
    ended: Sequence[EndedEpisode]

    def first_non_finite(self) -> int | None:
        """The first worker that acted and whose row's loss or gradient is not finite."""
        finite = np.isfinite(self.window_stats).all(axis=1)
        if finite.all():
            return None
        of_workers = np.repeat(finite, len(self.steps) // len(self.window_stats))
        return next(iter((~of_workers & (self.steps > 0)).nonzero()[0].tolist()), None)

    def row(self, worker: int) -> int:
        """The row of gradients and statistics that a worker's window is in."""
        return worker * len(self.window_stats) // len(self.steps)

    def truncated_workers(self) -> set[int]:
        """The workers in whose windows a time limit ended an episode."""
        return {episode.worker for episode in self.ended if episode.end == "truncated"}

    def of_workers(self, own: slice) -> "RoundResult":
        """The part of these workers, numbered from 0; one row, where rows serve so many workers each."""
        rows, workers = len(self.gradients), len(self.steps)
        if own == slice(0, workers):
            return self
        own_rows = slice(own.start * rows // workers, own.stop * rows // workers)
        ended = episodes_of(self.ended, own)
        return RoundResult(self.gradients[own_rows], self.window_stats[own_rows], self.steps[own], ended)


def episodes_of(ended: Sequence[EndedEpisode], own: slice) -> Sequence[EndedEpisode]:
    """Those of these workers, numbered from 0."""
    mine = (episode for episode in ended if own.start <= episode.worker < own.stop)
    return [replace(episode, worker=episode.worker - own.start) for episode in mine]
