"""A small picture's pixels are exact averages over the areas that they cover."""

import numpy as np
import pytest
from numpy.typing import NDArray

from a3c_exp.envs.atari.area_resize import AreaResize


def overlaps(length: int, size: int) -> NDArray[np.int64]:
    """``[size, length]`` how much of each pixel is in each of ``size`` equal shares of a line; a pixel is ``size`` long."""
    starts, pixels = np.arange(size)[:, None] * length, np.arange(length) * size
    return np.maximum(0, np.minimum(starts + length, pixels + size) - np.maximum(starts, pixels))


def averaged(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """In whole numbers, rounded half to even."""
    height, width = picture.shape
    sums = overlaps(height, size) @ picture.astype(np.int64) @ overlaps(width, size).T
    whole, rest = np.divmod(sums, height * width)
    up = (2 * rest > height * width) | ((2 * rest == height * width) & (whole % 2 == 1))
    return (whole + up).astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "size"), [(210, 160, 84), (42, 40, 21), (7, 9, 7), (6, 5, 10), (9, 4, 1)])
def test_every_pixel_is_the_average_of_its_area(height: int, width: int, size: int) -> None:
    random = np.random.default_rng(0)
    for picture in (random.integers(0, 256, (height, width), np.uint8), np.full((height, width), 255, np.uint8)):
        resized = AreaResize(height, width, size)(picture)
        assert resized.dtype == np.uint8
        np.testing.assert_array_equal(resized, averaged(picture, size))
