"""Pictures among observations: bytes from 0 to 255, whose channels come first when a network reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

MIN_PICTURE_SIDE = 16
"""Arrays of three dimensions whose height and width are at least this are pictures; smaller ones may be a grid of codes."""


def is_bytes(space: Space[Any]) -> bool:
    """Whether a space holds all bytes from 0 to 255, as pictures do."""
    return isinstance(space, Box) and space.dtype == np.uint8 and bool((space.low == 0).all() and (space.high == 255).all())


class FlattenedBox(Box):
    """The Box of a nested space's one vector, which knows its ``parts`` in order: path, space and how many numbers."""

    def __init__(self, low: NDArray[Any], high: NDArray[Any], parts: Sequence[tuple[str, Space[Any], int]]) -> None:
        super().__init__(low, high, dtype=np.float32)
        self.parts = tuple(parts)

    @property
    def pictures(self) -> list[str]:
        """The paths of those parts that are pictures."""
        return [path for path, space, _ in self.parts if part_picture_shape(space) is not None]


def part_picture_shape(space: Space[Any]) -> tuple[int, int, int] | None:
    """Channels, height and width of a part that is a picture, whichever way its channels come; ``None`` if it is none."""
    if not isinstance(space, Box):
        return None
    shape = channels_first(space.shape) if is_bytes(space) else space.shape
    return shape if len(shape) == 3 and min(shape[1:]) >= MIN_PICTURE_SIDE else None


def is_picture(space: Space[Any]) -> bool:
    """Whether what a network is given has the shape of a picture, ``[channels, height, width]``."""
    return isinstance(space, Box) and len(space.shape) == 3 and min(space.shape[1:]) >= MIN_PICTURE_SIDE


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a picture of bytes has once its channels come first; other shapes are kept.

    >>> channels_first((210, 160, 3)), channels_first((4, 84, 84, 3)), channels_first((84, 84)), channels_first((4, 84, 84))
    ((3, 210, 160), (12, 84, 84), (1, 84, 84), (4, 84, 84))
    """
    match shape:
        case (height, width, channels) if _are_last(channels, height, width):
            return channels, height, width
        case (frames, height, width, channels) if _are_last(channels, height, width):
            return frames * channels, height, width
        case (height, width) if min(height, width) >= MIN_PICTURE_SIDE:
            return 1, height, width
    return shape


def turn(picture: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A picture in the ``shape`` that ``channels_first`` gives for its own: the same numbers, ``[channels, height, width]``."""
    if picture.shape == shape:
        return picture
    return picture.reshape(shape) if picture.ndim == 2 else np.moveaxis(picture, -1, -3).reshape(shape)


def _are_last(channels: int, height: int, width: int) -> bool:
    return channels <= 4 < min(height, width)
