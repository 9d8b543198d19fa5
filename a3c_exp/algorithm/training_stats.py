"""Sums over windows, cheap to update in a worker's loop and small to send; averages are taken later."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

LAG_BINS = 256  # policy lags of 255 and more share the last bin of the histogram
REPORT_SECONDS = 0.25  # how often a process reports its sums


def _zeros(*shape: int) -> NDArray[np.int64]:
    return np.zeros(shape, np.int64)


@dataclass
class TrainingStats:
    """Sums over windows whose gradients were pushed."""

    windows: int = 0  # how many gradients: windows, or batches of windows where workers push together
    # [len(StatisticsTable)] each number of their vectors summed over them, and the largest; [] before the first.
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    maxima: NDArray[np.float32] = field(default_factory=lambda: np.full((), -np.inf, np.float32))
    # [LAG_BINS] pushes at each policy lag: shared updates between the pull and the push.
    lag_histogram: NDArray[np.int64] = field(default_factory=partial(_zeros, LAG_BINS))
    truncated: int = 0  # windows in which a time limit ended an episode
    dropped: int = 0  # gradients that were too stale and not applied; they are not among the windows
    downweighted: int = 0  # gradients that were stale and applied with less weight
    # Windows and environment steps of each worker, by its number; grown as needed.
    worker_windows: NDArray[np.int64] = field(default_factory=partial(_zeros, 0))
    worker_steps: NDArray[np.int64] = field(default_factory=partial(_zeros, 0))

    def count_windows(self, workers: Sequence[int], steps: Sequence[int], truncated: int) -> None:
        """Count one window of each of these workers; in ``truncated`` of them a time limit ended an episode."""
        if max(workers) >= len(self.worker_windows):
            self._grow(max(workers) + 1)
        for worker, count in zip(workers, steps, strict=True):
            self.worker_windows[worker] += 1
            self.worker_steps[worker] += count
        self.truncated += truncated

    def _grow(self, workers: int) -> None:
        if (missing := workers - len(self.worker_windows)) > 0:
            self.worker_windows, self.worker_steps = (
                np.pad(counts, (0, missing)) for counts in (self.worker_windows, self.worker_steps)
            )

    def add_update(self, window_stats: NDArray[np.float32], lag: int) -> None:
        """Count one update with the ``window_stats [len(StatisticsTable)]`` of what was pushed."""
        self.windows += 1
        self.sums = self.sums + window_stats
        self.maxima = np.maximum(self.maxima, window_stats)
        self.lag_histogram[min(lag, LAG_BINS - 1)] += 1

    def add_updates(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """Count several updates, ``window_stats [pushes, len(StatisticsTable)]`` with ``lags [pushes]``, or rounds of them:
        ``[rounds, pushes, ...]``."""
        self.windows += lags.size
        rounds = window_stats.reshape(-1, *window_stats.shape[-2:])
        # Rounds are added one by one, so that the sums' last bits do not depend on how many come at a time.
        for sums in rounds.sum(axis=1, dtype=np.float64):
            self.sums = self.sums + sums
        self.maxima = np.maximum(self.maxima, rounds.max(axis=(0, 1)))
        self.lag_histogram += np.bincount(np.minimum(lags.ravel(), LAG_BINS - 1), minlength=LAG_BINS)

    def count_many_windows(self, workers: NDArray[np.int64], steps: NDArray[np.int64], rounds: int = 1) -> None:
        """Count a window of each of these workers, who may be named more than once; none ended by a time limit."""
        self._grow(int(workers.max()) + 1)
        self.worker_windows += rounds * np.bincount(workers, minlength=len(self.worker_windows))
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
    def lag_mean(self) -> float:
        """Average policy lag, in updates (the last bin counts as its lower edge)."""
        return float(self.lag_histogram @ np.arange(LAG_BINS) / max(self.lag_histogram.sum(), 1))

    @property
    def lag_max(self) -> int:
        """Largest policy lag (at most ``LAG_BINS - 1``, which means that or more)."""
        lags = self.lag_histogram.nonzero()[0]
        return int(lags[-1]) if len(lags) else 0
