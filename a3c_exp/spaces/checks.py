"""Whether a value is of the shape and kind that its space declares, before anything is spread or cast."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, MultiBinary, Tuple
from numpy.typing import NDArray

from a3c_exp.spaces.flatten import leaf_spaces

_MAX_DESCRIPTION = 160


def describe_value(value: Any) -> str:
    """A value in a few words: ``None``, ``an array of shape (3,), float32``, ``the str 'upside down'``."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}, {value.dtype}"
    text = " ".join(repr(value).split())
    return f"the {type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def describe_space(space: Space[Any]) -> str:
    """A space as gymnasium writes it or, where that is long, its kind and size.

    >>> describe_space(Box(0, 1, (3,))), describe_space(Dict({f"joint_{i}": Box(0, 1, (3,)) for i in range(40)}))
    ('Box(0.0, 1.0, (3,), float32)', 'a Dict space of 40 parts')
    """
    text = " ".join(str(space).split())
    if len(text) <= _MAX_DESCRIPTION:
        return text
    parts = leaf_spaces(space)
    size = f"{len(parts)} parts" if isinstance(space, Dict | Tuple) else f"shape {space.shape}"
    return f"a {type(space).__name__} space of {size}"


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
