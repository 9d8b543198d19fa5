"""Heads over Box spaces: one Gaussian a number, or a mixture of them."""

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from a3c_exp.compile.stable_ops import softplus
from a3c_exp.models.distributions import Normal, NormalMixture
from a3c_exp.models.heads.base import Head
from a3c_exp.models.heads.config import MeanKind
from a3c_exp.spaces.flatten import leaf_size
from a3c_exp.system.errors import ConfigError

_MAX_BOUND = 1e9


class ActionScaling(nn.Module):
    """Keeps means ``[..., dimensions * repeats]`` where a Box allows them to be; each number stands ``repeats`` times in a row.

    Raises:
        ConfigError: the mean is to be scaled over bounds that the Box does not have.
    """

    def __init__(self, space: Box, mean: MeanKind, repeats: int = 1) -> None:
        super().__init__()
        low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
        bounded = (
            (space.bounded_below & space.bounded_above).reshape(-1) & (np.abs(low) < _MAX_BOUND) & (np.abs(high) < _MAX_BOUND)
        )
        if mean is MeanKind.scaled and not bounded.all():
            raise ConfigError(
                "model.head.mean=scaled stretches the mean over the action bounds, but this Box has none. "
                "Try model.head.mean=auto"
            )
        if mean is MeanKind.auto:
            mean = MeanKind.scaled if bounded.all() else mean if bounded.any() else MeanKind.linear
        self.kind = mean
        low, high = (np.where(bounded, bound, 0.0) for bound in (low, high))
        for name, column in (("center", (high + low) / 2), ("half_range", (high - low) / 2)):
            self.register_buffer(name, torch.from_numpy(column.repeat(repeats)).to(torch.float32), persistent=False)
        self.register_buffer("bounded", torch.from_numpy(bounded.repeat(repeats)), persistent=False)

    def forward(self, mean: Tensor) -> Tensor:
        if self.kind is MeanKind.linear:
            return mean
        if self.kind is MeanKind.tanh:
            return torch.tanh(mean)
        scaled = self.get_buffer("center") + self.get_buffer("half_range") * torch.tanh(mean)
        return scaled if self.kind is MeanKind.scaled else torch.where(self.get_buffer("bounded"), scaled, mean)


class GaussianHead(Head):
    """Means and standard deviations over a Box space; ``sigma = softplus(...) + min_std``."""

    def __init__(self, features: int, space: Box, mean: MeanKind, min_std: float) -> None:
        super().__init__()
        dimensions = leaf_size(space)
        self.distribution = Normal(dimensions)
        self.mean = nn.Linear(features, dimensions)
        self.std = nn.Linear(features, dimensions)
        self.action_scaling = ActionScaling(space, mean)
        self.min_std = min_std

    def forward(self, features: Tensor) -> Tensor:
        mean = self.action_scaling(self.mean(features))
        std = softplus(self.std(features)) + self.min_std
        return torch.cat([mean, std], dim=-1)


class MixtureHead(Head):
    """Weights, means and standard deviations of a mixture a number of a Box space, out of one layer."""

    def __init__(self, features: int, space: Box, mean: MeanKind, min_std: float, components: int) -> None:
        super().__init__()
        dimensions = leaf_size(space)
        self.distribution = NormalMixture(dimensions, components)
        self.mixture = nn.Linear(features, self.distribution.parameters_size)
        self.action_scaling = ActionScaling(space, mean, repeats=components)
        self.min_std = min_std

    def forward(self, features: Tensor) -> Tensor:
        logits, mean, std = self.mixture(features).chunk(3, dim=-1)
        return torch.cat([logits, self.action_scaling(mean), softplus(std) + self.min_std], dim=-1)
