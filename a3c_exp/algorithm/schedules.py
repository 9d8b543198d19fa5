"""How hyperparameters change over a run's budget."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from a3c_exp.config.enums import ScheduleKind
from a3c_exp.system.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """What a hyperparameter is multiplied by over the budget: 1, or from 1 to zero along a line or half a cosine (Loshchilov &
    Hutter 2017, arXiv:1608.03983, equation 5, without restarts), or straight lines between points ``(fraction, factor)``.

    Raises:
        ConfigError: points whose fractions do not rise within [0, 1], or factors below 0.
    """

    key: str  # the configuration key
    shape: ScheduleKind | Sequence[tuple[float, float]] = ScheduleKind.constant

    def __post_init__(self) -> None:
        if isinstance(self.shape, ScheduleKind):
            return
        fractions, factors = zip(*self.shape, strict=True) if self.shape else ((), ())
        rising = all(earlier < later for earlier, later in itertools.pairwise(fractions))
        if not fractions or not rising or not 0 <= fractions[0] <= fractions[-1] <= 1 or min(factors) < 0:
            raise ConfigError(
                f"{self.key} is {[list(point) for point in self.shape]}, but its points are [fraction of the budget, "
                "factor of the value], with fractions that rise from 0 to 1 and factors of at least 0. "
                f"Try {self.key}=linear, or points such as '[[0,1],[0.5,1],[1,0.1]]'"
            )

    @property
    def is_constant(self) -> bool:
        return self.shape is ScheduleKind.constant

    def factor(self, fraction: float) -> float:
        """The factor when ``fraction`` of the budget, in [0, 1], is used up."""
        match self.shape:
            case ScheduleKind.constant:
                return 1.0
            case ScheduleKind.linear:
                return 1.0 - fraction
            case ScheduleKind.cosine:
                return 0.5 * (1.0 + math.cos(math.pi * fraction))
            case points:
                return float(np.interp(fraction, [at for at, _ in points], [factor for _, factor in points]))


@dataclass(frozen=True)
class Schedules:
    """The schedules of a run. The learning rate is that of an update's moment. The entropy coefficient and the norm to clip to
    belong to a worker's window: they go by how much of the budget was used up when it pulled its weights."""

    lr: Schedule = Schedule("lr_schedule")
    beta: Schedule = Schedule("beta_schedule")
    max_grad_norm: Schedule = Schedule("max_grad_norm_schedule")

    @property
    def windows_are_constant(self) -> bool:
        """Whether what a window is learned from is the same at any point of the budget."""
        return self.beta.is_constant and self.max_grad_norm.is_constant
