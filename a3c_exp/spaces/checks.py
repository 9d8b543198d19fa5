"""Whether a value is of the shape and kind that its space declares, before anything is spread or cast."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, MultiBinary
from numpy.typing import NDArray


def describe_value(value: Any) -> str:
    """A value in a few words: ``None``, ``an array of shape (3,), float32``, ``the str 'upside down'``."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}, {value.dtype}"
    text = " ".join(repr(value).split())
    return f"the {type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def numeric_array(value: Any, space: Box | MultiBinary) -> NDArray[Any]:
    """The value as an array; a ValueError if it holds no real numbers, or not in the space's shape.

    Numbers of another type are taken, since many environments compute in double precision; but not a picture in real numbers
    where the space holds bytes, which would be divided by 255 a second time.
    """
    array = np.asarray(value)
    is_picture = isinstance(space, Box) and space.dtype == np.uint8
    if array.shape != space.shape or array.dtype.kind not in ("biu" if is_picture else "biuf"):
        raise ValueError(f"is {describe_value(value)}, but its space is of shape {space.shape}, {space.dtype}")
    return array


def single_number(value: Any) -> float:
    """A number as it is, or the one that an array of exactly one holds; a ValueError if it is no number, or several."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "biuf":
        return float(array.item())
    if not isinstance(value, str | bytes | np.ndarray) and hasattr(value, "__float__"):
        return float(value)
    raise ValueError(f"is {describe_value(value)}, but it is one number")
