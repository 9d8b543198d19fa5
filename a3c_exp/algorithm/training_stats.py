"""Sums over windows, cheap to update in a worker's loop and small to send; averages are taken later."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LAG_BINS = 256
"""Policy lags of 255 and more share the last bin of the histogram."""
REPORT_SECONDS = 0.25
"""How often a process reports its sums."""


@dataclass
class TrainingStats:
    """Sums over windows whose gradients were pushed.

    Attributes:
        windows: how many gradients: windows, or batches of windows where workers push together.
        sums, maxima: ``[len(StatisticsTable)]`` each number of their vectors summed over them, and the largest; ``[]``
            before the first.
        truncated: windows in which a time limit ended an episode.
        worker_windows, worker_steps: windows and environment steps of each worker, by its number; grown as needed.
        dropped, downweighted: gradients that were too stale: not applied (and not among ``windows``), or applied with less
            weight.
        lag_histogram: ``[LAG_BINS]`` pushes at each policy lag: shared updates between the pull and the push.
    """

    windows: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    maxima: NDArray[np.float32] = field(default_factory=lambda: np.full((), -np.inf, np.float32))
    lag_histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LAG_BINS, np.int64))
    truncated: int = 0
    dropped: int = 0
    downweighted: int = 0
    worker_windows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    worker_steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def count_windows(self, workers: Sequence[int], steps: Sequence[int], truncated: int) -> None:
        """Count one window of each of these workers, whichever update it went into; in ``truncated`` of them a time limit ended
        an episode."""
        if max(workers) >= len(self.worker_windows):
            self._grow(max(workers) + 1)
        for worker, count in zip(workers, steps, strict=True):
            self.worker_windows[worker] += 1
            self.worker_steps[worker] += count
        self.truncated += truncated

    def _grow(self, workers: int) -> None:
        zeros = np.zeros(max(0, workers - len(self.worker_windows)), np.int64)
        self.worker_windows = np.concatenate([self.worker_windows, zeros])
        self.worker_steps = np.concatenate([self.worker_steps, zeros])

    def add_update(self, window_stats: NDArray[np.float32], lag: int) -> None:
        """Count one update with the ``window_stats [len(StatisticsTable)]`` of what was pushed."""
        self.windows += 1
        self.sums = self.sums + window_stats
        self.maxima = np.maximum(self.maxima, window_stats)
        self.lag_histogram[min(lag, LAG_BINS - 1)] += 1

    def add_updates(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """Count several updates, ``window_stats [pushes, len(StatisticsTable)]`` with ``lags [pushes]``."""
        self.windows += len(lags)
        self.sums = self.sums + window_stats.sum(axis=0, dtype=np.float64)
        self.maxima = np.maximum(self.maxima, window_stats.max(axis=0))
        self.lag_histogram += np.bincount(np.minimum(lags, LAG_BINS - 1), minlength=LAG_BINS)

    def add_update_rounds(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """``add_updates`` for one round after another: ``window_stats [rounds, pushes, len(StatisticsTable)]``, ``lags [rounds,
        pushes]``."""
        self.windows += lags.size
        # Rounds are added one by one, so that the sums' last bits do not depend on how many come at a time.
        for sums in window_stats.sum(axis=1, dtype=np.float64):
            self.sums = self.sums + sums
        self.maxima = np.maximum(self.maxima, window_stats.max(axis=(0, 1)))
        self.lag_histogram += np.bincount(np.minimum(lags.ravel(), LAG_BINS - 1), minlength=LAG_BINS)

    def count_many_windows(self, workers: NDArray[np.int64], steps: NDArray[np.int64], rounds: int = 1) -> None:
        """Count a window of each of these workers, who may be named more than once, in none of which a time limit ended an
        episode."""
        last = int(workers.max())
        if last >= len(self.worker_windows):
            self._grow(last + 1)
        count = len(self.worker_windows)
        self.worker_windows += rounds * np.bincount(workers, minlength=count)
        np.add.at(self.worker_steps, workers, rounds * steps)

    def merge(self, other: "TrainingStats") -> None:
        self.windows += other.windows
        self.sums = self.sums + other.sums
        self.maxima = np.maximum(self.maxima, other.maxima)
        self.lag_histogram += other.lag_histogram
        self.truncated += other.truncated
        self.dropped += other.dropped
        self.downweighted += other.downweighted
        self._grow(len(other.worker_windows))
        self.worker_windows[: len(other.worker_windows)] += other.worker_windows
        self.worker_steps[: len(other.worker_steps)] += other.worker_steps

    @property
    def truncated_share(self) -> float:
        """Share of workers' windows in which a time limit ended an episode."""
        return self.truncated / max(int(self.worker_windows.sum()), 1)

    @property
    def dropped_share(self) -> float:
        """Share of gradients that were too stale to be applied."""
        return self.dropped / max(self.windows + self.dropped, 1)

    @property
    def downweighted_share(self) -> float:
        """Share of gradients that were applied with less weight because they were stale."""
        return self.downweighted / max(self.windows + self.dropped, 1)

    @property
    def lag_mean(self) -> float:
        """Average policy lag, in updates (the last bin counts as its lower edge)."""
        return float(self.lag_histogram @ np.arange(LAG_BINS) / max(self.lag_histogram.sum(), 1))

    @property
    def lag_max(self) -> int:
        """Largest policy lag (at most ``LAG_BINS - 1``, which means that or more)."""
        lags = self.lag_histogram.nonzero()[0]
        return int(lags[-1]) if len(lags) else 0
