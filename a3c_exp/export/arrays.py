"""What policies are given and return as plain arrays, one for each part of a space: what exported files read and write."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from numpy.typing import NDArray

from a3c_exp.spaces.flatten import leaf_paths, leaf_size, leaf_spaces
from a3c_exp.spaces.pictures import is_bytes


def leaf_shape(space: Space[Any]) -> tuple[int, ...]:
    """Of an element of a simple space."""
    assert space.shape is not None, space
    return space.shape


def choice_counts(space: Discrete | MultiDiscrete) -> list[int]:
    """How many values each of a space's choices has."""
    counts: list[int] = np.atleast_1d(space.n if isinstance(space, Discrete) else space.nvec).reshape(-1).tolist()
    return counts


def leaf_arrays(space: Space[Any], elements: Sequence[Any]) -> list[NDArray[Any]]:
    """Elements of a space as arrays ``[n, ...]``, one for each part."""

    def part(element: Any, keys: tuple[Any, ...]) -> Any:
        for key in keys:
            element = element[key]
        return element

    return [np.stack([np.asarray(part(element, keys), leaf.dtype) for element in elements]) for keys, leaf in leaf_paths(space)]


def raw_arrays(space: Space[Any], encoded: NDArray[Any]) -> list[NDArray[Any]]:
    """What observations were before they were ``encoded [n, *encoded]``, an array ``[n, ...]`` for each part of the space."""
    leaves = [leaf for _, leaf in leaf_spaces(space)]
    if is_bytes(space):
        return [_turned_back(encoded, leaf_shape(space))]
    if len(leaves) == 1 and isinstance(space, Box):
        return [encoded.astype(space.dtype)]
    flat, arrays, begin = encoded.reshape(len(encoded), -1), [], 0
    for leaf in leaves:
        counts = [leaf_size(leaf)]
        if isinstance(leaf, Discrete | MultiDiscrete):
            counts = choice_counts(leaf)
        part = flat[:, begin : (begin := begin + sum(counts))]
        if isinstance(leaf, Discrete | MultiDiscrete):
            ends = np.cumsum(counts)[:-1].tolist()
            chosen = np.stack([one_hot.argmax(axis=1) for one_hot in np.split(part, ends, axis=1)], axis=1)
            value = chosen.reshape(-1, *leaf_shape(leaf)) + np.asarray(leaf.start)
        else:
            value = (np.rint(part * 255) if is_bytes(leaf) else part).reshape(-1, *leaf_shape(leaf))
        arrays.append(value.astype(leaf.dtype))
    return arrays


def _turned_back(encoded: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Pictures ``[n, *encoded]`` in their own shape."""
    if encoded.shape[1:] == shape or len(shape) == 2:
        return encoded.reshape(-1, *shape)
    *frames, height, width, channels = shape
    return np.moveaxis(encoded.reshape(-1, *frames, channels, height, width), -3, -1)
