"""A network for observations of several parts, with convolutions for those that are pictures."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.conv_net import ConvBody
from a3c_exp.models.dense import Dense, Widths
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import initialize
from a3c_exp.spaces.checks import describe_space
from a3c_exp.spaces.pictures import FlattenedBox, is_picture, part_picture_shape
from a3c_exp.system.errors import ConfigError


class MultiInputNet(ActorCritic):
    """Convolutions and dense layers over each picture; their features and all other numbers, joined in the order of the space's
    parts, go through dense layers to policy and value. What stable-baselines3 calls MultiInputPolicy.

    Pictures are of at least 16x16; a smaller grid is numbers like others.

    Args:
        observation_space: a ``FlattenedBox``, which is what a Dict or Tuple space becomes.
        channels, kernels, strides: of each picture's convolutions, one number each.
        picture_hidden: widths of the dense layers after them.
        hidden: widths of the dense layers over everything.
        others: as in ``ConvNet``.

    Raises:
        ConfigError: observations have no parts, or as in ``ConvNet``.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        channels: Sequence[int] = (32, 64, 64),
        kernels: Sequence[int] = (8, 4, 3),
        strides: Sequence[int] = (4, 2, 1),
        picture_hidden: Widths = (256,),
        hidden: Widths = (64, 64),
        activation: str = "tanh",
        head: HeadConfig | None = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(observation_space, FlattenedBox):
            reader = "nature_cnn" if is_picture(observation_space) else "small_mlp"
            raise ConfigError(
                "model=multi_input reads Dict and Tuple observations, but this environment observes "
                f"{describe_space(observation_space)}. Try model={reader}"
            )
        self._sizes = [size for _, _, size in observation_space.parts]
        # Of each part: where it is in memory, if it is a picture, and the shape that the convolutions take.
        self._pictures = [(space.shape, part_picture_shape(space)) for _, space, _ in observation_space.parts]
        features = sum(size for size, (_, shape) in zip(self._sizes, self._pictures, strict=True) if shape is None)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            shapes = [shape for _, shape in self._pictures if shape is not None]
            self.encoders = nn.ModuleList(ConvBody(shape, channels, kernels, strides, picture_hidden) for shape in shapes)
            features += sum(cast(ConvBody, encoder).out_features for encoder in self.encoders)
            self.body = Dense(features, hidden, activation)
            self.policy = make_head(self.body.out_features, action_space, head or HeadConfig())
            self.value = nn.Linear(self.body.out_features, 1)
        self.stackable = not shapes
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, None, orthogonal, seed)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        encoders, joined = iter(self.encoders), []
        for part, (own, shape) in zip(torch.split(observation, self._sizes, dim=-1), self._pictures, strict=True):
            if shape is None or own is None:
                joined.append(part)
                continue
            picture = part.reshape(*part.shape[:-1], *own)
            if own != shape and len(own) > 2:  # channels last
                picture = picture.movedim(-1, -3)
            joined.append(next(encoders)(picture.reshape(*part.shape[:-1], *shape)))
        features = self.body(torch.cat(joined, dim=-1))
        return PolicyValue(self.policy(features), self.value(features).squeeze(-1), hidden_state)
