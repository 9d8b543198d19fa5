"""What convolutions leave of a picture, and which pictures and sizes a network of them refuses."""

from collections.abc import Sequence
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Box

from a3c_exp.spaces.checks import describe_space
from a3c_exp.spaces.pictures import FlattenedBox
from a3c_exp.system.errors import ConfigError


def picture_shape(space: Space[Any], model: str) -> tuple[int, int, int]:
    """Channels, height and width of a picture space; a ConfigError that names the ``model`` if the space is another."""
    if not isinstance(space, Box) or len(space.shape) != 3:
        if isinstance(space, FlattenedBox) and space.pictures:
            raise ConfigError(
                f"model={model} reads images [channels, height, width] and nothing else, but this environment observes "
                f"{', '.join(path for path, _, _ in space.parts)}. Try model=multi_input"
            )
        raise ConfigError(
            f"model={model} reads images [channels, height, width], but this environment observes "
            f"{describe_space(space)}. Try model={'recurrent_mlp' if model in ('conv_gru', 'a3c_lstm') else 'small_mlp'}"
        )
    channels, height, width = space.shape
    if width <= 4 < channels:
        raise ConfigError(
            f"model={model} reads images [channels, height, width], but this environment's are {list(space.shape)}, channels "
            "last, and not of uint8 from 0 to 255, which would be turned. Try a wrapper that moves them to the front"
        )
    return channels, height, width


def conv_sides(
    shape: tuple[int, int, int], channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], padding: int
) -> tuple[int, int]:
    """Height and width that convolutions leave of pictures ``[channels, height, width]``.

    Raises:
        ConfigError: lists of different lengths, numbers below 1, or pictures too small for the kernels.
    """
    _reject_invalid_arguments(channels, kernels, strides)
    sides = shape[1:]
    for kernel, stride in zip(kernels, strides, strict=True):
        if min(sides) + 2 * padding < kernel:
            raise ConfigError(
                f"model.kernels={list(kernels)} and model.strides={list(strides)} leave nothing of images of "
                f"{shape[1]}x{shape[2]}. Try fewer layers, such as 'model.channels=[32,32]' 'model.kernels=[4,3]' "
                "'model.strides=[2,2]'"
            )
        sides = ((sides[0] + 2 * padding - kernel) // stride + 1, (sides[1] + 2 * padding - kernel) // stride + 1)
    return sides


def _reject_invalid_arguments(channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]) -> None:
    for key, numbers in (("channels", channels), ("kernels", kernels), ("strides", strides)):
        if not numbers or min(numbers) < 1:
            raise ConfigError(
                f"model.{key} is {list(numbers)}, but there is at least one convolution, and each number is at least 1. "
                f"Try 'model.{key}=[{'32,32' if key == 'channels' else '3,3'}]'"
            )
    if not len(channels) == len(kernels) == len(strides):
        raise ConfigError(
            f"model.channels, model.kernels and model.strides have {len(channels)}, {len(kernels)} and {len(strides)} numbers, "
            "but each convolution has one of each. Try 'model.channels=[32,32]' 'model.kernels=[4,3]' 'model.strides=[2,2]'"
        )
