"""From an action space to the head that fits it."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch import Tensor, nn

from a3c_exp.models.distributions import Bernoulli, Categorical, Component, Distribution, MultiCategorical, ProductDistribution
from a3c_exp.models.heads.base import Head, HeadConfig, HeadKind
from a3c_exp.models.heads.box import BetaHead, GaussianHead, MixtureHead, SquashedGaussianHead, StateDependentNoiseHead
from a3c_exp.spaces.checks import describe_space
from a3c_exp.spaces.flatten import describe_unsupported, leaf_size, leaf_spaces
from a3c_exp.system.errors import ConfigError

_COMPATIBLE_SPACES: dict[HeadKind, tuple[type[Space[Any]], ...]] = {
    HeadKind.categorical: (Discrete, MultiDiscrete),
    HeadKind.bernoulli: (MultiBinary,),
    HeadKind.gaussian: (Box,),
    HeadKind.mixture: (Box,),
    HeadKind.squashed_gaussian: (Box,),
    HeadKind.beta: (Box,),
}
_BOX_HEADS = {HeadKind.mixture: MixtureHead, HeadKind.squashed_gaussian: SquashedGaussianHead, HeadKind.beta: BetaHead}


class LogitsHead(Head):
    """Logits, and nothing else: Categorical, MultiCategorical and Bernoulli take them as they are."""

    def __init__(self, features: int, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution
        self.logits = nn.Linear(features, distribution.parameters_size)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.logits(features)
        return logits


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
    if config.use_sde and not any(isinstance(part, Box) for part in parts):
        raise ConfigError(
            f"model.head.use_sde=true explores with real-valued actions, but this environment has {describe_space(space)}. "
            "Try model.head.use_sde=false"
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
            head = StateDependentNoiseHead if config.use_sde else _BOX_HEADS.get(config.kind, GaussianHead)
            return head(features, space, config)
        case MultiDiscrete():
            return LogitsHead(features, MultiCategorical(space.nvec.reshape(-1).tolist()))
        case MultiBinary():
            return LogitsHead(features, Bernoulli(leaf_size(space)))
        case _:
            assert isinstance(space, Discrete), space
            return LogitsHead(features, MultiCategorical([int(space.n)]))
