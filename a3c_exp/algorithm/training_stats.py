"""Sums over windows, cheap to keep in a worker's loop and small to send: averages are taken by whoever reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.window_gradient import WindowStat

LAG_BINS = 256
"""Policy lags of 255 and more share the last bin of the histogram."""
REPORT_SECONDS = 0.25
"""How often a process reports its sums."""


@dataclass
class TrainingStats:
    """What happened in some windows that were pushed.

    Attributes:
        windows: how many gradients: windows, or batches of windows where workers push together.
        sums: ``[len(Stat)]`` each figure summed over them.
        grad_norm_max: the largest gradient norm before clipping.
        truncated: windows in which an episode was ended by a time limit.
        worker_windows, worker_steps: windows and environment steps of each worker by its number; empty until one is counted.
        dropped, downweighted: gradients that were too stale: not applied (and not among ``windows``), or applied with less
            weight.
        lag_histogram: ``[LAG_BINS]`` pushes at each policy lag: shared updates between the pull and the push.
    """

    windows: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(WindowStat)))
    grad_norm_max: float = 0.0
    lag_histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LAG_BINS, np.int64))
    truncated: int = 0
    dropped: int = 0
    downweighted: int = 0
    worker_windows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    worker_steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def count_windows(self, workers: Sequence[int], steps: Sequence[int], truncated: int) -> None:
        """Count one window of each of these workers, whichever update it went into; in ``truncated`` a time limit struck."""
        if max(workers) >= len(self.worker_windows):
            self._grow(max(workers) + 1)
        for worker, count in zip(workers, steps, strict=True):
            self.worker_windows[worker] += 1
            self.worker_steps[worker] += count
        self.truncated += truncated

    def _grow(self, workers: int) -> None:
        more = np.zeros(max(0, workers - len(self.worker_windows)), np.int64)
        self.worker_windows = np.concatenate([self.worker_windows, more])
        self.worker_steps = np.concatenate([self.worker_steps, more])

    def add_update(self, window_stats: NDArray[np.float32], lag: int) -> None:
        """Count one update with the ``window_stats [len(Stat)]`` of what was pushed."""
        self.windows += 1
        self.sums += window_stats
        self.grad_norm_max = max(self.grad_norm_max, float(window_stats[WindowStat.grad_norm]))
        self.lag_histogram[min(lag, LAG_BINS - 1)] += 1

    def add_updates(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """Count several updates, ``window_stats [pushes, len(Stat)]`` with ``lags [pushes]``."""
        self.windows += len(lags)
        self.sums += window_stats.sum(axis=0, dtype=np.float64)
        self.grad_norm_max = max(self.grad_norm_max, float(window_stats[:, WindowStat.grad_norm].max()))
        self.lag_histogram += np.bincount(np.minimum(lags, LAG_BINS - 1), minlength=LAG_BINS)

    def add_update_rounds(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """``add_updates`` for round after round, ``window_stats [rounds, pushes, len(Stat)]`` with ``lags [rounds, pushes]``."""
        self.windows += lags.size
        # Rounds are added one by one, so that the sums' last bits do not depend on how many come at a time.
        for sums in window_stats.sum(axis=1, dtype=np.float64):
            self.sums += sums
        self.grad_norm_max = max(self.grad_norm_max, float(window_stats[..., WindowStat.grad_norm].max()))
        self.lag_histogram += np.bincount(np.minimum(lags.ravel(), LAG_BINS - 1), minlength=LAG_BINS)

    def count_many_windows(self, workers: NDArray[np.int64], steps: NDArray[np.int64], rounds: int = 1) -> None:
        """Count a window of each of these workers, who may be named more than once, in none of which a time limit struck; or as
        many as there were rounds."""
        most = int(workers.max())
        if most >= len(self.worker_windows):
            self._grow(most + 1)
        count = len(self.worker_windows)
        self.worker_windows += rounds * np.bincount(workers, minlength=count)
        np.add.at(self.worker_steps, workers, rounds * steps)

    def merge(self, other: "TrainingStats") -> None:
        self.windows += other.windows
        self.sums += other.sums
        self.grad_norm_max = max(self.grad_norm_max, other.grad_norm_max)
        self.lag_histogram += other.lag_histogram
        self.truncated += other.truncated
        self.dropped += other.dropped
        self.downweighted += other.downweighted
        self._grow(len(other.worker_windows))
        self.worker_windows[: len(other.worker_windows)] += other.worker_windows
        self.worker_steps[: len(other.worker_steps)] += other.worker_steps

    def mean(self, stat: WindowStat) -> float:
        """Average of a figure over windows; NaN without any."""
        return float(self.sums[stat] / self.windows) if self.windows else float("nan")

    def per_step(self, stat: WindowStat) -> float:
        """Average over environment steps of a figure that is a sum over them; NaN without any."""
        return float(self.sums[stat] / self.sums[WindowStat.steps]) if self.sums[WindowStat.steps] else float("nan")

    @property
    def max_probability(self) -> float | None:
        """Average probability of the policy's most likely action; ``None`` for a policy of densities."""
        return self.per_step(WindowStat.max_probability_sum) if self.sums[WindowStat.max_probability_sum] else None

    @property
    def explained_variance(self) -> float | None:
        """``1 - Var(R - V) / Var(R)`` over all steps: 1 is a perfect critic, 0 is no better than a constant."""
        steps = self.sums[WindowStat.steps]
        if steps < 2:
            return None
        variance = self.sums[WindowStat.target_square_sum] / steps - (self.sums[WindowStat.target_sum] / steps) ** 2
        error = self.sums[WindowStat.error_square_sum] / steps - (self.sums[WindowStat.error_sum] / steps) ** 2
        return float(1.0 - error / variance) if variance > 1e-12 else None

    @property
    def value_mean(self) -> float:
        """Average V(s) over steps."""
        return float(self.sums[WindowStat.value_sum] / max(self.sums[WindowStat.steps], 1.0))

    @property
    def value_std(self) -> float:
        """Standard deviation of V(s) over steps: how far the critic tells states apart."""
        steps = max(self.sums[WindowStat.steps], 1.0)
        return float(np.sqrt(max(0.0, self.sums[WindowStat.value_square_sum] / steps - self.value_mean**2)))

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
        """Largest policy lag seen (at most ``LAG_BINS - 1``, which means that or more)."""
        seen = self.lag_histogram.nonzero()[0]
        return int(seen[-1]) if len(seen) else 0
