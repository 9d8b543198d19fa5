"""The CarRacing article's network: convolutions over images, a GRU, policy and value."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.models.cells import GRUCell
from a3c_exp.models.conv_layers import Norm, NormedConv, NormKind, PReLU
from a3c_exp.models.conv_sizes import conv_sides, picture_shape
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import initialize
from a3c_exp.models.recurrent_mlp import Recurrent
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.memory import disable_malloc_trim

_INITIAL_BIAS = 0.01
_PADDING = 1


class ConvGRU(Recurrent):
    """Norm, convolutions with a PReLU each, norm, GRU cell, then policy and value from its state.

    The defaults are the CarRacing article's, which leave 32 x 6 x 6 = 1152 features of a 96x96 image. Its BatchNorm, which at
    batch size 1 is an instance norm in training and something else in evaluation, is replaced by norms without running
    statistics: the output for an image depends neither on the mode nor, but for rounding, on the other images in the batch.

    Args:
        observation_space: a Box ``[channels, height, width]``.
        channels, kernels, strides: of the convolutions, one number each.
        norm: of the images before and the features after the convolutions: instance, layer or none.
        orthogonal: draw orthogonal weights and zero biases; otherwise as the article does: ``xavier_uniform`` with
            leaky_relu's gain and biases of 0.01 but for the GRU, whose weights are torch's own and whose biases are 0.

    Raises:
        ConfigError: observations are not images or too small for the strides, an unknown norm, sizes below 1, or a head that
            does not fit the action space.
    """

    stackable = False

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        channels: Sequence[int] = (32, 32, 32, 32),
        kernels: Sequence[int] = (4, 3, 3, 3),
        strides: Sequence[int] = (2, 2, 2, 2),
        hidden_size: PositiveInt = 256,
        norm: NormKind = NormKind.instance,
        head: HeadConfig | None = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        shape = picture_shape(observation_space, "conv_gru")
        sides = conv_sides(shape, channels, kernels, strides, _PADDING)
        if NormKind(norm) is NormKind.instance and sides == (1, 1):
            raise ConfigError(
                "model.norm=instance takes each channel's mean away, but the convolutions leave one number a channel of images "
                f"of {shape[1]}x{shape[2]}. Try model.norm=layer"
            )
        inputs = channels[-1] * sides[0] * sides[1]
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            first, *others = (
                nn.Conv2d(before, after, kernel, stride, _PADDING)
                for (before, after), kernel, stride in zip(
                    itertools.pairwise((shape[0], *channels)), kernels, strides, strict=True
                )
            )
            self.convs = nn.ModuleList([NormedConv(Norm(shape[0], NormKind(norm)), first), *others])
            self.activations = nn.ModuleList(PReLU() for _ in channels)
            self.norm_out = Norm(channels[-1], NormKind(norm))
            self.cell = GRUCell(inputs, hidden_size)
            self.policy = make_head(hidden_size, action_space, head or HeadConfig())
            self.value = nn.Linear(hidden_size, 1)
        disable_malloc_trim()  # here, because every process that uses these weights makes the model first
        self.hidden_state_size = self.cell.hidden_state_size
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, None, orthogonal, seed)
        if not orthogonal:
            self._init_as_published(seed)

    def features(self, observation: Tensor) -> Tensor:
        for conv, activation in zip(self.convs, self.activations, strict=True):
            observation = activation(conv(observation))
        features: Tensor = self.norm_out(observation).flatten(1)
        return features

    def _init_as_published(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        gain = nn.init.calculate_gain("leaky_relu")
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.xavier_uniform_(layer.weight, gain, generator)
                    assert layer.bias is not None
                    layer.bias.fill_(_INITIAL_BIAS)
            self.cell.bias_ih.zero_()
            self.cell.bias_hh.zero_()
