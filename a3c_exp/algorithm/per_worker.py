"""Hyperparameters that differ between workers, so that they explore differently.

Mnih et al. 2016 (arXiv:1602.01783), section 4: "using different exploration policies in each worker"; section 8 anneals
learning rates from LogUniform(1e-4, 1e-2) to zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.algorithm.random_streams import StreamPurpose, random_stream
from a3c_exp.config.enums import HyperparameterRangeKind
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
    """The distributions of workers' entropy coefficients and learning rates; ``None`` gives all the same."""

    beta: HyperparameterRange | None = None
    lr: HyperparameterRange | None = None
