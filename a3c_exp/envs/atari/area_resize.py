"""Gray pictures of another size, whose pixels are averages over the area that each of them covers."""

import math

import numpy as np
from numpy.typing import NDArray

Taps = list[tuple[NDArray[np.int64], NDArray[np.float32]]]


class AreaResize:
    """``[height, width]`` bytes to ``[size, size]``: exact averages, rounded half to even.

    That is what OpenCV's ``INTER_AREA`` computes in single precision, which differs by 1 where an average is close to half a
    step, in one pixel of 200 at most. Weights here are integers, whose sums single precision holds exactly.
    """

    def __init__(self, height: int, width: int, size: int) -> None:
        self._rows, row_total = _taps(height, size)
        self._columns, column_total = _taps(width, size)
        self._total = np.float32(row_total * column_total)

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        by_rows = _weighted_sum(picture.astype(np.float32), self._rows)
        sums = _weighted_sum(np.ascontiguousarray(by_rows.T), self._columns)
        sums /= self._total
        return np.rint(sums, out=sums).T.astype(np.uint8)


def _weighted_sum(rows: NDArray[np.float32], taps: Taps) -> NDArray[np.float32]:
    first, *others = taps
    total = rows[first[0]] * first[1]
    for index, weight in others:
        total += rows[index] * weight
    return total


def _taps(length: int, size: int) -> tuple[Taps, int]:
    """Of ``size`` equal shares of a line of ``length`` pixels: the first pixels that each reaches, the second ones and so on
    ``[size]``, with the overlaps ``[size, 1]`` in a unit that makes all of them integers; and a share's length in that unit."""
    unit = math.gcd(length, size)
    share, pixel = length // unit, size // unit
    starts = np.arange(size) * share
    count = -(-share // pixel) + 1
    taps: Taps = []
    for j in range(count):
        index = starts // pixel + j
        overlap = np.minimum((index + 1) * pixel, starts + share) - np.maximum(index * pixel, starts)
        if (overlap > 0).any():
            weight = np.maximum(overlap, 0).astype(np.float32)[:, None]
            taps.append((np.minimum(index, length - 1), weight))
    return taps, share
