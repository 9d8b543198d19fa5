"""The last layer of a policy: from features to the parameters of a distribution that fits the action space."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from a3c_exp.core.distributions import Categorical, Distribution, Normal
from a3c_exp.core.errors import ConfigError
from a3c_exp.models.pointwise import softplus


class HeadKind(StrEnum):
    """``auto`` picks by the action space."""

    auto = "auto"
    categorical = "categorical"
    gaussian = "gaussian"


class MeanKind(StrEnum):
    """How a Gaussian's mean is bounded.

    ``scaled``: tanh stretched over the action bounds. ``tanh``: tanh alone, in [-1, 1], as the Pendulum report's own listing
    has it (it can then use only half of Pendulum's torque). ``linear``: no bound.
    """

    scaled = "scaled"
    tanh = "tanh"
    linear = "linear"


@dataclass(frozen=True)
class HeadSpec:
    """Which head, and the Gaussian's details (of no effect on a categorical head).

    Attributes:
        kind: auto, categorical or gaussian.
        mean: scaled, tanh or linear.
        min_std: added to the softplus that gives the standard deviation, in action units; above 0.

    Raises:
        ConfigError: an unknown word or a bound that is not above 0.
    """

    kind: HeadKind = HeadKind.auto
    mean: MeanKind = MeanKind.scaled
    min_std: float = 1e-4

    def __post_init__(self) -> None:
        for key, kind in (("kind", HeadKind), ("mean", MeanKind)):
            value = getattr(self, key)
            if value not in list(kind):
                allowed = ", ".join(kind)
                raise ConfigError(
                    f"model.head.{key} is {value}, but it is one of {allowed}. Try model.head.{key}={next(iter(kind))}"
                )
            object.__setattr__(self, key, kind(value))
        if not self.min_std > 0:
            raise ConfigError(f"model.head.min_std is {self.min_std}, but it is above 0. Try model.head.min_std=1e-4")


class CategoricalHead(nn.Module):
    """Logits over a Discrete space."""

    def __init__(self, features: int, space: Discrete) -> None:
        super().__init__()
        self.family: Distribution = Categorical(int(space.n))
        self.logits = nn.Linear(features, int(space.n))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.logits(features)
        return logits


class GaussianHead(nn.Module):
    """Means and standard deviations over a Box space; ``sigma = softplus(...) + min_std``."""

    def __init__(self, features: int, space: Box, mean: MeanKind, min_std: float) -> None:
        super().__init__()
        dimensions = int(np.prod(space.shape))
        self.family: Distribution = Normal(dimensions)
        self.mean = nn.Linear(features, dimensions)
        self.std = nn.Linear(features, dimensions)
        self.kind = mean
        self.min_std = min_std
        low, high = (torch.as_tensor(bound, dtype=torch.float32).reshape(-1) for bound in (space.low, space.high))
        if mean is MeanKind.scaled and not (low.isfinite().all() and high.isfinite().all()):
            raise ConfigError(
                "model.head.mean=scaled stretches the mean over the action bounds, but this Box has none. "
                "Try model.head.mean=linear"
            )
        self.register_buffer("centre", (high + low) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        mean: Tensor = self.mean(features)
        if self.kind is not MeanKind.linear:
            mean = torch.tanh(mean)
        if self.kind is MeanKind.scaled:
            mean = self.get_buffer("centre") + self.get_buffer("reach") * mean
        std = softplus(self.std(features)) + self.min_std
        return torch.cat([mean, std], dim=-1)


def make_head(features: int, space: Space[Any], spec: HeadSpec) -> CategoricalHead | GaussianHead:
    """The head that ``spec`` asks for over ``space``.

    Raises:
        ConfigError: the head does not fit the space.
    """
    if isinstance(space, Discrete):
        if spec.kind is HeadKind.gaussian:
            raise ConfigError(
                f"model.head.kind=gaussian needs a Box action space, but this task has {space}. Try model.head.kind=categorical"
            )
        return CategoricalHead(features, space)
    if isinstance(space, Box):
        if spec.kind is HeadKind.categorical:
            raise ConfigError(
                f"model.head.kind=categorical needs a Discrete action space, but this task has {space}. "
                "Try model.head.kind=gaussian"
            )
        return GaussianHead(features, space, spec.mean, spec.min_std)
    raise ConfigError(f"no policy head fits the action space {space}; there are heads for Discrete and Box")
