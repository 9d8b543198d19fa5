"""Dense layers over vectors."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn import functional

from a3c_exp.compile.stable_ops import elu, silu
from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.spaces.pictures import FlattenedBox, is_picture
from a3c_exp.system.errors import ConfigError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "tanh": torch.tanh,
    "elu": elu,
    "silu": silu,
}
_SMALLEST_NATURE_CNN_SIDE = 36  # of pictures, by its strides
Widths = Sequence[PositiveInt]  # of dense layers


class Dense(nn.Sequential):
    """Linear layers of these ``widths``, each followed by the activation: one of relu, relu6, tanh, elu, silu.

    Attributes:
        out_features: size of the output; ``in_features`` without layers.

    Raises:
        ConfigError: an unknown activation.
    """

    def __init__(self, in_features: int, widths: Widths, activation: str) -> None:
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f"model.activation is {activation}, but it is one of {', '.join(ACTIVATIONS)}. Try model.activation=relu"
            )
        sizes = [in_features, *widths]
        super().__init__(*(nn.Linear(before, after) for before, after in itertools.pairwise(sizes)))
        self.out_features = sizes[-1]
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        activation = ACTIVATIONS[self.activation]
        for layer in self:
            features = activation(layer(features))
        return features


class FlattenObservation(nn.Module):
    """Observations ``[..., *shape]`` of a Box as vectors ``[..., size]``; a ConfigError if they are pictures, of which dense
    layers would learn each pixel by itself."""

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        assert space.shape is not None, space
        if is_picture(space):
            reader = "nature_cnn" if min(space.shape[1:]) >= _SMALLEST_NATURE_CNN_SIDE else "conv_gru"
            raise ConfigError(
                f"this environment observes pictures {list(space.shape)}, but this model's dense layers read vectors. "
                f"Try model={reader}"
            )
        if isinstance(space, FlattenedBox) and space.pictures:
            raise ConfigError(
                f"this environment observes pictures among other things ({', '.join(space.pictures)}), but this model's dense "
                "layers read vectors. Try model=multi_input"
            )
        self.dimensions = len(space.shape)
        self.size = int(torch.Size(space.shape).numel())

    def forward(self, observation: Tensor) -> Tensor:
        if self.dimensions == 0:
            return observation.unsqueeze(-1)
        return observation.flatten(-self.dimensions) if self.dimensions > 1 else observation
