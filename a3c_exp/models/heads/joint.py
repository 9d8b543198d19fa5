"""The head for an action space: one for each of its parts."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch import Tensor, nn

from a3c_exp.models.distributions import Bernoulli, Categorical, Component, MultiCategorical, ProductDistribution
from a3c_exp.models.heads.base import Head
from a3c_exp.models.heads.config import HeadConfig, HeadKind
from a3c_exp.models.heads.continuous import GaussianHead, MixtureHead
from a3c_exp.models.heads.discrete import LogitsHead
from a3c_exp.spaces.flatten import describe_unsupported, leaf_size, leaf_spaces
from a3c_exp.system.errors import ConfigError

_COMPATIBLE_SPACES: dict[HeadKind, tuple[type[Space[Any]], ...]] = {
    HeadKind.categorical: (Discrete, MultiDiscrete),
    HeadKind.bernoulli: (MultiBinary,),
    HeadKind.gaussian: (Box,),
    HeadKind.mixture: (Box,),
}


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
            f"no policy head fits {unsupported}; there are heads for Box, Discrete, MultiDiscrete, MultiBinary, "
            "and Tuple and Dict of these"
        )
    parts = [leaf for _, leaf in leaf_spaces(space)]
    if config.kind is not HeadKind.auto and not any(isinstance(part, _COMPATIBLE_SPACES[config.kind]) for part in parts):
        wanted = " or ".join(cls.__name__ for cls in _COMPATIBLE_SPACES[config.kind])
        instead = next(kind for kind, fitting in _COMPATIBLE_SPACES.items() if isinstance(parts[0], fitting))
        raise ConfigError(
            f"model.head.kind={config.kind} needs a {wanted} action space, but this environment has "
            f"{' '.join(str(space).split())}. "
            f"Try model.head.kind={instead}"
        )
    if isinstance(space, Tuple | Dict):
        return JointHead([_component_head(features, part, config) for part in parts])
    if isinstance(space, Discrete):
        # An action without an axis of its own is the cheapest, for the most common space.
        return LogitsHead(features, Categorical(int(space.n)))
    return _component_head(features, space, config)


def _component_head(features: int, space: Space[Any], config: HeadConfig) -> Head:
    """The head of one part, whose action is a vector."""
    if isinstance(space, Box):
        if config.kind is HeadKind.mixture:
            return MixtureHead(features, space, config.mean, config.min_std, config.components)
        return GaussianHead(features, space, config.mean, config.min_std)
    if isinstance(space, MultiDiscrete):
        return LogitsHead(features, MultiCategorical(space.nvec.reshape(-1).tolist()))
    if isinstance(space, MultiBinary):
        return LogitsHead(features, Bernoulli(leaf_size(space)))
    assert isinstance(space, Discrete), space
    return LogitsHead(features, MultiCategorical([int(space.n)]))
