"""Hyperparameters that differ between workers, so that they explore differently, and the learning-rate schedule.

Mnih et al. 2016 (arXiv:1602.01783), section 4: "using different exploration policies in each worker"; section 8 anneals
learning rates from LogUniform(1e-4, 1e-2) to zero.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from a3c_exp.algorithm.random_streams import StreamPurpose, random_stream
from a3c_exp.config.enums import HyperparameterRangeKind, LRSchedule
from a3c_exp.system.errors import ConfigError


@dataclass(frozen=True)
class HyperparameterRange:
    """A distribution that each worker's own value is drawn from, once a run.

    Raises:
        ConfigError: bounds or values that are not a distribution over numbers of at least 0.
    """

    key: str  # the configuration key
    kind: HyperparameterRangeKind  # uniform or loguniform between two bounds, or a choice of listed values
    low: float | None = None
    high: float | None = None
    values: Sequence[float] = ()  # what a choice picks from: worker k takes values[k % len(values)]

    def __post_init__(self) -> None:
        key = f"per_worker.{self.key}"
        if self.kind is HyperparameterRangeKind.values:
            if not self.values or not all(math.isfinite(value) and value >= 0 for value in self.values):
                raise ConfigError(
                    f"{key}.values is {list(self.values)}, but it lists numbers of at least 0. "
                    f"Try '{key}={{kind: values, values: [0.001, 0.01]}}'"
                )
            return
        low, high = self.low, self.high
        least = 0.0 if self.kind is HyperparameterRangeKind.uniform else math.ulp(0.0)
        if low is None or high is None or not (least <= low <= high < math.inf):
            bound = "at least" if least == 0 else "above"
            raise ConfigError(
                f"{key} goes from low={low} to high={high}, but {self.kind} takes two bounds {bound} 0, low <= high. "
                f"Try '{key}={{kind: {self.kind}, low: 1e-4, high: 1e-2}}'"
            )

    def draw(self, seed: int, worker: int) -> float:
        """The value of one worker of one seed; it does not depend on the other workers."""
        if self.kind is HyperparameterRangeKind.values:
            return float(self.values[worker % len(self.values)])
        assert self.low is not None and self.high is not None
        purpose = {"beta": 0, "lr": 1}[self.key]
        uniform = random_stream(seed, StreamPurpose.per_worker, worker, purpose).random()
        if self.kind is HyperparameterRangeKind.uniform:
            return self.low + uniform * (self.high - self.low)
        return math.exp(math.log(self.low) + uniform * (math.log(self.high) - math.log(self.low)))


@dataclass(frozen=True)
class PerWorkerHyperparameters:
    """Which hyperparameters each worker draws for itself, and how learning rates fall.

    Attributes:
        beta, lr: the distributions of workers' entropy coefficients and learning rates; ``None`` gives all the same.
        lr_schedule: of the learning rate over the budget: constant, to zero along a line or half a cosine (Loshchilov & Hutter
            2017, arXiv:1608.03983, equation 5, without restarts), or straight lines between points ``(fraction, factor)``.

    Raises:
        ConfigError: points whose fractions do not rise within [0, 1], or factors below 0.
    """

    beta: HyperparameterRange | None = None
    lr: HyperparameterRange | None = None
    lr_schedule: LRSchedule | Sequence[tuple[float, float]] = LRSchedule.constant

    def __post_init__(self) -> None:
        if isinstance(self.lr_schedule, LRSchedule):
            return
        fractions, factors = zip(*self.lr_schedule, strict=True) if self.lr_schedule else ((), ())
        rising = all(earlier < later for earlier, later in itertools.pairwise(fractions))
        if not fractions or not rising or not 0 <= fractions[0] <= fractions[-1] <= 1 or min(factors) < 0:
            raise ConfigError(
                f"lr_schedule is {[list(point) for point in self.lr_schedule]}, but its points are [fraction of the budget, "
                "factor of the rate], with fractions that rise from 0 to 1 and factors of at least 0. "
                "Try 'lr_schedule=[[0,1],[0.5,1],[1,0.1]]'"
            )

    @property
    def lr_is_constant(self) -> bool:
        return self.lr_schedule is LRSchedule.constant

    def lr_factor(self, fraction: float) -> float:
        """The factor of learning rates when ``fraction`` of the budget, in [0, 1], is used up."""
        match self.lr_schedule:
            case LRSchedule.constant:
                return 1.0
            case LRSchedule.linear:
                return 1.0 - fraction
            case LRSchedule.cosine:
                return 0.5 * (1.0 + math.cos(math.pi * fraction))
            case points:
                return float(np.interp(fraction, [at for at, _ in points], [factor for _, factor in points]))
