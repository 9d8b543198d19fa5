"""The last layer of a policy: from features to the parameters of a distribution that fits the action space."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, cast

import numpy as np
import torch
from annotated_types import Gt
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch import Tensor, nn

from a3c_exp.compile.stable_ops import softplus
from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.models.distributions import (
    Bernoulli,
    Categorical,
    Component,
    Distribution,
    MultiCategorical,
    Normal,
    NormalMixture,
    ProductDistribution,
)
from a3c_exp.spaces.checks import describe_space
from a3c_exp.spaces.flatten import describe_unsupported, leaf_size, leaf_spaces
from a3c_exp.system.errors import ConfigError

_MAX_BOUND = 1e9


class HeadKind(StrEnum):
    """``auto`` picks by the action space, for each part of a Tuple or Dict; the others ask for one kind where it fits.

    ``categorical`` fits Discrete and MultiDiscrete, ``bernoulli`` MultiBinary, ``gaussian`` and ``mixture`` (of Gaussians) Box.
    """

    auto = "auto"
    categorical = "categorical"
    bernoulli = "bernoulli"
    gaussian = "gaussian"
    mixture = "mixture"


_COMPATIBLE_SPACES: dict[HeadKind, tuple[type[Space[Any]], ...]] = {
    HeadKind.categorical: (Discrete, MultiDiscrete),
    HeadKind.bernoulli: (MultiBinary,),
    HeadKind.gaussian: (Box,),
    HeadKind.mixture: (Box,),
}


class MeanKind(StrEnum):
    """How a Gaussian's mean is bounded.

    ``scaled``: tanh stretched over the action bounds. ``tanh``: tanh alone, in [-1, 1], as the Pendulum report's own listing
    has it (it can then use only half of Pendulum's torque). ``linear``: no bound. ``auto``: each number scaled where it has
    both bounds (of a size below 1e9; a box that says 3e38 means none), and linear elsewhere.
    """

    auto = "auto"
    scaled = "scaled"
    tanh = "tanh"
    linear = "linear"


class StdKind(StrEnum):
    """A Gaussian's standard deviation: a layer's (``state``), or one learned number a dimension (``parameter``)."""

    state = "state"
    parameter = "parameter"


@dataclass(frozen=True)
class HeadConfig:
    """Which head, and the details of Gaussians (of no effect on discrete actions)."""

    kind: HeadKind = HeadKind.auto
    mean: MeanKind = MeanKind.auto
    std: StdKind = StdKind.state
    log_std_init: float = 0.0  # where std=parameter begins: the logarithm of a standard deviation in action units
    # Added to the softplus (of the state) or the exponential (of the parameter) that gives the standard deviation.
    min_std: Annotated[float, Gt(0)] = 1e-4
    components: PositiveInt = 3  # Gaussians a dimension of a mixture

    def __post_init__(self) -> None:
        for key, kind in (("kind", HeadKind), ("mean", MeanKind), ("std", StdKind)):
            object.__setattr__(self, key, kind(getattr(self, key)))


class Head(nn.Module):
    """From features ``[..., features]`` to a distribution's parameters ``[..., distribution.parameters_size]``."""

    distribution: Distribution

    def forward(self, features: Tensor) -> Tensor:
        raise NotImplementedError


class LogitsHead(Head):
    """Logits, and nothing else: Categorical, MultiCategorical and Bernoulli take them as they are."""

    def __init__(self, features: int, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution
        self.logits = nn.Linear(features, distribution.parameters_size)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.logits(features)
        return logits


class ActionScaling(nn.Module):
    """Keeps means ``[..., dimensions * repeats]`` where a Box allows them to be; each number stands ``repeats`` times in a row.

    Raises:
        ConfigError: the mean is to be scaled over bounds that the Box does not have.
    """

    def __init__(self, space: Box, mean: MeanKind, repeats: int = 1) -> None:
        super().__init__()
        low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
        bounded = (space.bounded_below & space.bounded_above).reshape(-1) & (np.maximum(abs(low), abs(high)) < _MAX_BOUND)
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
        self.action_scaling = ActionScaling(space, config.mean)
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


class JointHead(Head):
    """The heads of an action's parts side by side; the parts are independent given the features."""

    def __init__(self, parts: Sequence[Head]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.distribution = ProductDistribution([cast(Component, part.distribution) for part in parts])

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([part(features) for part in self.parts], dim=-1)


def make_head(features: int, space: Space[Any], config: HeadConfig) -> Head:
    """The head that ``config`` asks for over ``space``; a kind other than auto is that of the parts which it fits.

    Raises:
        ConfigError: the head does not fit the space.
    """
    unsupported = describe_unsupported(space)
    if unsupported is not None:
        raise ConfigError(
            f"no policy head fits {unsupported}, but Box, Discrete, MultiDiscrete, MultiBinary, and Tuple and Dict of "
            "these. Try a wrapper (env.wrappers) that turns it into one of them"
        )
    parts = [leaf for _, leaf in leaf_spaces(space)]
    if config.kind is not HeadKind.auto and not any(isinstance(part, _COMPATIBLE_SPACES[config.kind]) for part in parts):
        wanted = " or ".join(cls.__name__ for cls in _COMPATIBLE_SPACES[config.kind])
        instead = next(kind for kind, fitting in _COMPATIBLE_SPACES.items() if isinstance(parts[0], fitting))
        raise ConfigError(
            f"model.head.kind={config.kind} needs a {wanted} action space, but this environment has "
            f"{describe_space(space)}. Try model.head.kind={instead}"
        )
    if isinstance(space, Tuple | Dict):
        return JointHead([_component_head(features, part, config) for part in parts])
    if isinstance(space, Discrete):
        # An action without an axis of its own is the cheapest, for the most common space.
        return LogitsHead(features, Categorical(int(space.n)))
    return _component_head(features, space, config)


def _component_head(features: int, space: Space[Any], config: HeadConfig) -> Head:
    """The head of one part, whose action is a vector."""
    match space:
        case Box():
            return (MixtureHead if config.kind is HeadKind.mixture else GaussianHead)(features, space, config)
        case MultiDiscrete():
            return LogitsHead(features, MultiCategorical(space.nvec.reshape(-1).tolist()))
        case MultiBinary():
            return LogitsHead(features, Bernoulli(leaf_size(space)))
        case _:
            assert isinstance(space, Discrete), space
            return LogitsHead(features, MultiCategorical([int(space.n)]))
