"""Heads over a Box: Gaussians and mixtures of them, noise that depends on the state, and distributions within its bounds."""

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn

from a3c_exp.compile.stable_ops import softplus
from a3c_exp.models.distributions import Beta, Normal, NormalMixture, SquashedNormal, StateDependentNoise
from a3c_exp.models.heads.base import Head, HeadConfig, HeadKind, MeanKind, StdKind
from a3c_exp.spaces.flatten import leaf_size
from a3c_exp.system.errors import ConfigError

_MAX_BOUND = 1e9


def _bounds(space: Box) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """A Box's lowest and highest numbers, flat, and which of them have both bounds."""
    low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
    bounded = (space.bounded_below & space.bounded_above).reshape(-1) & (np.maximum(abs(low), abs(high)) < _MAX_BOUND)
    return low, high, bounded


class ActionScaling(nn.Module):
    """Keeps means ``[..., dimensions * repeats]`` where a Box allows them to be; each number stands ``repeats`` times in a row.

    Raises:
        ConfigError: the mean is to be scaled over bounds that the Box does not have.
    """

    def __init__(self, space: Box, mean: MeanKind, repeats: int = 1) -> None:
        super().__init__()
        low, high, bounded = _bounds(space)
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
    """Over a Box: means, and ``sigma = softplus(...) + min_std`` of the features or ``exp(parameter) + min_std``."""

    def __init__(self, features: int, space: Box, config: HeadConfig) -> None:
        super().__init__()
        dimensions = leaf_size(space)
        self.distribution = Normal(dimensions)
        self.mean = nn.Linear(features, dimensions)
        self.std: nn.Linear | None = nn.Linear(features, dimensions) if config.std is StdKind.state else None
        if self.std is None:
            self.log_std = nn.Parameter(torch.full((dimensions,), float(config.log_std_init)))
        self.action_scaling: nn.Module = ActionScaling(space, config.mean)
        self.min_std = config.min_std

    def forward(self, features: Tensor) -> Tensor:
        mean = self.action_scaling(self.mean(features))
        std = self.log_std.exp().expand_as(mean) if self.std is None else softplus(self.std(features))
        return torch.cat([mean, std + self.min_std], dim=-1)


class MixtureHead(Head):
    """Weights, means and standard deviations of a mixture a number of a Box space, out of one layer.

    Raises:
        ConfigError: standard deviations are to be parameters.
    """

    def __init__(self, features: int, space: Box, config: HeadConfig) -> None:
        super().__init__()
        if config.std is not StdKind.state:
            raise ConfigError(
                f"model.head.std is {config.std}, but a mixture's standard deviations follow the state. "
                "Try model.head.std=state, or model.head.kind=gaussian"
            )
        self.distribution = NormalMixture(leaf_size(space), config.components)
        self.mixture = nn.Linear(features, self.distribution.parameters_size)
        self.action_scaling = ActionScaling(space, config.mean, repeats=config.components)
        self.min_std = config.min_std

    def forward(self, features: Tensor) -> Tensor:
        logits, mean, std = self.mixture(features).chunk(3, dim=-1)
        return torch.cat([logits, self.action_scaling(mean), softplus(std) + self.min_std], dim=-1)


class SquashedGaussianHead(GaussianHead):
    """The tanh of Gaussians, stretched over the action bounds; mean and sigma are those before the tanh.

    Raises:
        ConfigError: the Box has no bounds, or a way to bound the mean is asked for.
    """

    def __init__(self, features: int, space: Box, config: HeadConfig) -> None:
        low, high = _bounds_for(HeadKind.squashed_gaussian, space, config)
        super().__init__(features, space, config)
        self.distribution = SquashedNormal(low, high)
        self.action_scaling = SoftLimit()


class SoftLimit(nn.Module):
    """Keeps numbers within -4 and 4. tanh(4) is 0.9993, so every action can nearly be reached; a mean far beyond would make all
    actions 1 but for rounding, and the gradient of their density wrong, since it needs the number before the tanh."""

    limit = 4.0

    def forward(self, numbers: Tensor) -> Tensor:
        return self.limit * torch.tanh(numbers / self.limit)


class StateDependentNoiseHead(Head):
    """Means, and each feature times its ``sigma = exp(parameter)``: generalized state-dependent exploration.

    Raises:
        ConfigError: another kind than a Gaussian, or another standard deviation, is asked for.
    """

    def __init__(self, features: int, space: Box, config: HeadConfig) -> None:
        super().__init__()
        if config.kind not in (HeadKind.auto, HeadKind.gaussian):
            raise ConfigError(
                f"model.head.use_sde=true makes a Gaussian's noise, but model.head.kind is {config.kind}. "
                "Try model.head.kind=gaussian, or model.head.use_sde=false"
            )
        if config.std is not StdKind.state:
            raise ConfigError(
                f"model.head.use_sde=true has a sigma of its own for each feature, but model.head.std is {config.std}. "
                "Try model.head.std=state, or model.head.use_sde=false"
            )
        dimensions = leaf_size(space)
        self.distribution = StateDependentNoise(dimensions, features, config.sde_sample_freq)
        self.mean = nn.Linear(features, dimensions)
        # Flat: matrices are drawn anew by ``initialize``.
        self.log_std = nn.Parameter(
            torch.full(((dimensions if config.full_std else 1) * features,), float(config.log_std_init))
        )
        self.action_scaling = ActionScaling(space, config.mean)
        self.learn_features = config.learn_features

    def forward(self, features: Tensor) -> Tensor:
        mean = self.action_scaling(self.mean(features))
        std = self.log_std.exp().view(-1, features.shape[-1])  # [dimensions or 1, features]
        seen = features if self.learn_features else features.detach()
        scaled = (seen.unsqueeze(-2) * std).expand(*mean.shape, -1)
        return torch.cat([mean, scaled.flatten(-2)], dim=-1)


class BetaHead(Head):
    """``alpha`` and ``beta``, each ``1 + softplus(...)``, as published.

    Raises:
        ConfigError: the Box has no bounds, or a mean or standard deviation is asked for.
    """

    def __init__(self, features: int, space: Box, config: HeadConfig) -> None:
        super().__init__()
        if config.std is not StdKind.state:
            raise ConfigError(
                f"model.head.std is {config.std}, but a Beta distribution's two parameters follow the state. "
                "Try model.head.std=state, or model.head.kind=squashed_gaussian"
            )
        self.distribution = Beta(*_bounds_for(HeadKind.beta, space, config))
        self.shape = nn.Linear(features, self.distribution.parameters_size)

    def forward(self, features: Tensor) -> Tensor:
        return 1.0 + softplus(self.shape(features))


def _bounds_for(kind: HeadKind, space: Box, config: HeadConfig) -> tuple[list[float], list[float]]:
    """The bounds that a head of this kind keeps to."""
    if config.mean is not MeanKind.auto:
        raise ConfigError(
            f"model.head.mean is {config.mean}, but model.head.kind={kind} always keeps to the action bounds. "
            "Try model.head.mean=auto"
        )
    low, high, bounded = _bounds(space)
    bounded &= low.astype(np.float32) < high.astype(np.float32)
    if not bounded.all():
        i = int(bounded.argmin())
        raise ConfigError(
            f"model.head.kind={kind} keeps actions between two bounds, but number {i} of this Box lies in "
            f"[{low[i]:g}, {high[i]:g}]. Try model.head.kind=gaussian"
        )
    return low.tolist(), high.tolist()
