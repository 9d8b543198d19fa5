"""Sums over windows, cheap to keep in a worker's loop and small to send: averages are taken by whoever reads them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from a3c_exp.learner import Stat

LAG_BINS = 256
"""Policy lags of 255 and more share the last bin of the histogram."""


@dataclass
class Tally:
    """What happened in some windows that were pushed.

    Attributes:
        windows: how many.
        sums: ``[len(Stat)]`` each figure summed over windows.
        grad_norm_max: the largest gradient norm before clipping.
        lag_histogram: ``[LAG_BINS]`` pushes at each policy lag: shared updates between the pull and the push.
    """

    windows: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(Stat)))
    grad_norm_max: float = 0.0
    lag_histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LAG_BINS, np.int64))

    def add(self, figures: NDArray[np.float32], lag: int) -> None:
        """Count one pushed window with its ``figures [len(Stat)]``."""
        self.windows += 1
        self.sums += figures
        self.grad_norm_max = max(self.grad_norm_max, float(figures[Stat.grad_norm]))
        self.lag_histogram[min(lag, LAG_BINS - 1)] += 1

    def merge(self, other: "Tally") -> None:
        self.windows += other.windows
        self.sums += other.sums
        self.grad_norm_max = max(self.grad_norm_max, other.grad_norm_max)
        self.lag_histogram += other.lag_histogram

    def mean(self, stat: Stat) -> float:
        """Average of a figure over windows; NaN without any."""
        return float(self.sums[stat] / self.windows) if self.windows else float("nan")

    @property
    def explained_variance(self) -> float | None:
        """``1 - Var(R - V) / Var(R)`` over all steps: 1 is a perfect critic, 0 is no better than a constant."""
        steps = self.sums[Stat.steps]
        if steps < 2:
            return None
        variance = self.sums[Stat.target_square_sum] / steps - (self.sums[Stat.target_sum] / steps) ** 2
        error = self.sums[Stat.error_square_sum] / steps - (self.sums[Stat.error_sum] / steps) ** 2
        return float(1.0 - error / variance) if variance > 1e-12 else None

    @property
    def value_mean(self) -> float:
        """Average V(s) over steps."""
        return float(self.sums[Stat.value_sum] / max(self.sums[Stat.steps], 1.0))

    @property
    def lag_mean(self) -> float:
        """Average policy lag, in updates (the last bin counts as its lower edge)."""
        return float(self.lag_histogram @ np.arange(LAG_BINS) / max(self.lag_histogram.sum(), 1))

    @property
    def lag_max(self) -> int:
        """Largest policy lag seen (at most ``LAG_BINS - 1``, which means that or more)."""
        seen = self.lag_histogram.nonzero()[0]
        return int(seen[-1]) if len(seen) else 0
