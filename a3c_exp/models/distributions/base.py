"""What every distribution offers, and the noise that its samples are made of."""

import math
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


class Distribution(Protocol):
    """What a distribution offers: plain tensor operations without control flow on data, without random ones. ``max_entropy``,
    in nats, is ``None`` for anything with a continuous part: it also tells float32 actions from int64 ones."""

    parameters_size: int  # parameters are always [..., parameters_size]
    uniform_noise: int  # how many numbers in [0, 1) a sample takes; they come first in the noise
    normal_noise: int  # how many standard normal numbers
    max_entropy: float | None
    sde_noise: int = 0  # how many standard normal numbers that several steps share; they come last in the noise
    sde_sample_freq: int = -1  # how many steps share them; -1: all of a window

    @property
    def noise_size(self) -> int:
        return self.uniform_noise + self.normal_noise + self.sde_noise

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """An action, a deterministic function of the parameters and of noise ``[..., noise_size]``."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most likely action: of a deterministic evaluation."""

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Joint log-probability (density) ``[...]`` of an action, summed over its dimensions."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Joint (differential) entropy ``[...]`` in nats, summed over action dimensions."""

    def max_probability(self, parameters: Tensor) -> Tensor:
        """The probability ``[...]`` of the most likely action: the joint one, a product over its discrete parts.

        A density is no probability, so continuous parts are left out of the product; NaN where there is no other part.
        """
        return torch.full_like(parameters[..., 0], math.nan)


def draw_noise(
    distribution: Distribution,
    generator: np.random.Generator,
    shape: tuple[int, ...],
    dtype: type[np.float32] | type[np.float64] = np.float32,
) -> NDArray[np.float32]:
    """Noise ``[*shape, uniform_noise + normal_noise]`` for samples of a distribution, without what several steps share: all
    uniform numbers are drawn first, then the normal ones. ``dtype`` is the precision that the generator draws in (a stream
    gives other numbers in each); the result is float32 either way."""
    blocks: list[NDArray[np.float32]] = []
    if distribution.uniform_noise:
        uniform = generator.random((*shape, distribution.uniform_noise), dtype=dtype).astype(np.float32, copy=False)
        # The largest doubles below 1 are rounded to 1, which no distribution's noise may be.
        blocks.append(np.minimum(uniform, _BELOW_ONE))
    if distribution.normal_noise:
        normal = generator.standard_normal((*shape, distribution.normal_noise), dtype=dtype)
        blocks.append(normal.astype(np.float32, copy=False))
    if not blocks:
        return np.zeros((*shape, 0), np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-1)
