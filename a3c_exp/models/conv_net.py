"""Convolutions and dense layers over pictures: the networks of DQN and of the A3C paper, without and with a recurrent cell."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn import functional

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.conv_sizes import conv_sides, picture_shape
from a3c_exp.models.dense import Dense, Widths
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import initialize
from a3c_exp.models.recurrent_mlp import CELLS, CellKind, Recurrent
from a3c_exp.system.memory import disable_malloc_trim


class ConvBody(nn.Module):
    """Convolutions without padding, then dense layers, each followed by a ReLU: ``[..., channels, height, width]`` to
    ``[..., out_features]``."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        hidden: Widths,
    ) -> None:
        super().__init__()
        height, width = conv_sides(shape, channels, kernels, strides, padding=0)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride)
            for (before, after), kernel, stride in zip(itertools.pairwise((shape[0], *channels)), kernels, strides, strict=True)
        )
        self.dense = Dense(channels[-1] * height * width, hidden, "relu")
        self.out_features = self.dense.out_features
        disable_malloc_trim()  # here, because every process that uses these weights makes the model first

    def forward(self, pictures: Tensor) -> Tensor:
        leading = pictures.shape[:-3]
        maps = pictures.reshape(-1, *pictures.shape[-3:]).contiguous(memory_format=torch.channels_last)
        for conv in self.convs:
            maps = functional.relu(conv(maps))
        features: Tensor = self.dense(maps.flatten(1))
        return features.view(*leading, -1)


class ConvNet(ActorCritic):
    """Convolutions and dense layers, then policy and value from the same features.

    ``model=nature_cnn`` is DQN's network (Mnih et al. 2015, doi:10.1038/nature14236) and the default; ``model=a3c_ff`` the
    smaller one of the A3C paper, that of Mnih et al. 2013.

    Args:
        observation_space: a Box ``[channels, height, width]``.
        channels, kernels, strides: of the convolutions, one number each.
        hidden: widths of the dense layers after them.
        orthogonal: draw orthogonal weights and zero biases; otherwise each layer's own initialization, uniform within
            ``1 / sqrt(inputs)``.

    Raises:
        ConfigError: observations are not images or too small for the strides, sizes below 1, or a head that does not fit the
            action space.
    """

    stackable = False

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        channels: Sequence[int] = (32, 64, 64),
        kernels: Sequence[int] = (8, 4, 3),
        strides: Sequence[int] = (4, 2, 1),
        hidden: Widths = (512,),
        head: HeadConfig | None = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        shape = picture_shape(observation_space, "nature_cnn")
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.body = ConvBody(shape, channels, kernels, strides, hidden)
            self.policy = make_head(self.body.out_features, action_space, head or HeadConfig())
            self.value = nn.Linear(self.body.out_features, 1)
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, None, orthogonal, seed)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        features = self.body(observation)
        return PolicyValue(self.policy(features), self.value(features).squeeze(-1), hidden_state)


class RecurrentConvNet(Recurrent):
    """The same with a recurrent cell between the dense layers and the heads: ``model=a3c_lstm``, the A3C paper's.

    Args:
        cell: gru or lstm.
        hidden_size: size of the cell's state, the input of policy and value.
        others: as in ``ConvNet``, which also says what is refused.
    """

    stackable = False

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        channels: Sequence[int] = (16, 32),
        kernels: Sequence[int] = (8, 4),
        strides: Sequence[int] = (4, 2),
        hidden: Widths = (256,),
        cell: CellKind = CellKind.lstm,
        hidden_size: PositiveInt = 256,
        head: HeadConfig | None = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        shape = picture_shape(observation_space, "a3c_lstm")
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.body = ConvBody(shape, channels, kernels, strides, hidden)
            self.cell = CELLS[CellKind(cell)](self.body.out_features, hidden_size)
            self.policy = make_head(hidden_size, action_space, head or HeadConfig())
            self.value = nn.Linear(hidden_size, 1)
        self.hidden_state_size = self.cell.hidden_state_size
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, None, orthogonal, seed)

    def features(self, observation: Tensor) -> Tensor:
        features: Tensor = self.body(observation)
        return features
