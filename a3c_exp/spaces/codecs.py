"""From a policy's action to a gymnasium environment's, and from its observation to a network's input."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from numpy.typing import NDArray

from a3c_exp.spaces.checks import describe_space, describe_value, numeric_array
from a3c_exp.spaces.flatten import consecutive_slices, leaf_paths, leaf_size
from a3c_exp.spaces.pictures import FlattenedBox, channels_first, is_bytes, turn

Decode = Callable[[NDArray[Any]], Sequence[Any] | NDArray[Any]]
"""Actions of K policies ``[K, ...]``, to what each of K environments is stepped with."""

Encode = Callable[[Any, NDArray[Any]], None]
"""Writes one observation into an array of the encoded shape: float32, or uint8 where the space holds bytes."""


def action_decoder(space: Space[Any]) -> Decode:
    """How actions become elements of ``space``; what is sampled beyond a Box is clipped here, and in no other place.

    Discrete actions count from the space's ``start``. A Box of integers takes the nearest one. The vector of a Tuple or
    Dict is taken apart in the order of ``spaces.flatten.leaf_paths``. The input is never written to.
    """
    if not isinstance(space, Tuple | Dict):
        decode = _leaf_decoder(space)
        if isinstance(space, Box) and space.shape == ():  # a row of such an array is a number, and a Box holds arrays
            return lambda action: [np.asarray(row) for row in decode(action)]
        return decode

    leaves = [leaf for _, leaf in leaf_paths(space)]
    parts = list(zip(consecutive_slices([leaf_size(leaf) for leaf in leaves]), map(_leaf_decoder, leaves), strict=True))

    def decode_parts(action: NDArray[Any]) -> list[Any]:
        columns = [decode(action[:, slice_]) for slice_, decode in parts]
        return [_unflatten(space, iter([column[k, ...] for column in columns])) for k in range(len(action))]

    return decode_parts


def _unflatten(space: Space[Any], values: Iterator[Any]) -> Any:
    if isinstance(space, Tuple):
        return tuple(_unflatten(part, values) for part in space.spaces)
    if isinstance(space, Dict):
        return {key: _unflatten(part, values) for key, part in space.spaces.items()}
    value = next(values)
    return value[()] if isinstance(space, Discrete) else value


def _leaf_decoder(space: Space[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """``[K, ...]`` of a simple space's numbers to ``[K, *space.shape]`` of the space's own kind."""
    assert space.shape is not None, space
    shape, dtype = space.shape, space.dtype
    if isinstance(space, Box):
        low, high = space.low, space.high
        whole = dtype is not None and dtype.kind in "iub"

        def decode_box(action: NDArray[Any]) -> NDArray[Any]:
            shaped = action if action.shape[1:] == shape else action.reshape(-1, *shape)
            clipped: NDArray[Any] = np.maximum(shaped, low)  # new, since an environment may keep what it is given
            np.minimum(clipped, high, out=clipped)
            if whole:
                clipped = np.rint(clipped)
            return clipped if clipped.dtype == dtype else clipped.astype(dtype)

        return decode_box
    if isinstance(space, MultiBinary):
        return lambda action: action.reshape(-1, *shape).astype(dtype)
    assert isinstance(space, Discrete | MultiDiscrete), space
    start = np.asarray(space.start, np.int64)
    if not start.any():
        # A row of several choices is a view, which an environment may keep, and the input is overwritten.
        return lambda action: action.reshape(-1, *shape).astype(dtype, copy=shape != ())
    return lambda action: (action.reshape(-1, *shape).astype(np.int64, copy=False) + start).astype(dtype, copy=False)


def observation_encoder(space: Space[Any]) -> tuple[Box, Encode | None]:
    """The float32 Box that a network sees instead of ``space``, and how an observation is written into it.

    A Box keeps its shape, and needs no function at all (``None``: numpy converts as it assigns), but for bytes: a uint8 Box
    from 0 to 255, which is what images are, is written as bytes, with its channels first; the network divides them by 255
    itself. Discrete and MultiDiscrete become one-hot vectors, MultiBinary a vector of 0 and 1. A Tuple or Dict becomes one
    vector of all its parts, bytes divided by 255, in the order of ``spaces.flatten.leaf_paths``.

    The functions raise ValueError for a value that is not of the space; that of a Box alone relies on its caller to look at
    shape and type.
    """
    if isinstance(space, Box):
        if is_bytes(space):
            shape = channels_first(space.shape)
            return Box(0.0, 1.0, shape, np.float32), partial(_write_bytes, shape)
        return (space if space.dtype == np.float32 else _float_box(space.low, space.high)), None

    leaves = list(leaf_paths(space))
    encoders = [_leaf_encoder(leaf) for _, leaf in leaves]
    low, high = ([getattr(encoded, bound).reshape(-1) for encoded, _ in encoders] for bound in ("low", "high"))
    box = _float_box(np.concatenate(low), np.concatenate(high))
    if not isinstance(space, Tuple | Dict):
        return box, encoders[0][1]
    paths = [".".join(map(str, keys)) for keys, _ in leaves]
    box = FlattenedBox(
        box.low, box.high, [(path, leaf, part.size) for path, (_, leaf), part in zip(paths, leaves, low, strict=True)]
    )
    parts = list(zip(leaves, consecutive_slices([part.size for part in low]), encoders, strict=True))

    def encode_parts(observed: Any, out: NDArray[np.float32]) -> None:
        for (keys, _), slice_, (_, encode) in parts:
            value, place = observed, ""
            try:
                for key in keys:
                    place += f"[{key!r}]"
                    value = value[key]
            except (TypeError, LookupError):
                raise ValueError(f"is {describe_value(observed)}, which has no {place}") from None
            try:
                encode(value, out[slice_])
            except ValueError as error:
                raise ValueError(f"{place} {error}") from error

    return box, encode_parts


def _leaf_encoder(space: Space[Any]) -> tuple[Box, Encode]:
    """The vector that stands for a simple space, and how a value is written into it."""
    if isinstance(space, Box):
        scale = is_bytes(space)
        box = Box(0.0, 1.0, space.shape, np.float32) if scale else observation_encoder(space)[0]
        return box, _flat_writer(space, scale)
    if isinstance(space, MultiBinary):
        return Box(0.0, 1.0, (leaf_size(space),), np.float32), _flat_writer(space)
    assert isinstance(space, Discrete | MultiDiscrete), space
    counts = np.atleast_1d(space.n if isinstance(space, Discrete) else space.nvec).reshape(-1).astype(np.int64)
    # The i-th choice's ones begin where those of the choices before it end.
    start, first_columns = np.asarray(space.start, np.int64).reshape(-1), np.cumsum(counts) - counts

    def write_one_hot(value: Any, out: NDArray[np.float32]) -> None:
        choices = np.asarray(value).reshape(-1)
        if choices.shape != counts.shape or choices.dtype.kind not in "biuf":
            raise ValueError(f"is {describe_value(value)}, but its space is {describe_space(space)}")
        columns = choices.astype(np.int64) - start
        if (columns + start != choices).any() or (columns < 0).any() or (columns >= counts).any():
            raise ValueError(f"is {describe_value(value)}, which is not in its space {describe_space(space)}")
        out.fill(0.0)
        out[first_columns + columns] = 1.0

    return Box(0.0, 1.0, (int(counts.sum()),), np.float32), write_one_hot


def _flat_writer(space: Box | MultiBinary, scale: bool = False) -> Encode:
    """Writes a value into a vector; ``scale`` divides bytes by 255."""

    def write_flat(value: Any, out: NDArray[np.float32]) -> None:
        flat = numeric_array(value, space).reshape(-1)
        if scale:
            np.divide(flat, np.float32(255), out=out)
        else:
            out[:] = flat

    return write_flat


def _write_bytes(shape: tuple[int, ...], value: Any, out: NDArray[np.uint8]) -> None:
    if value.dtype != np.uint8 and ((value < 0) | (value > 255)).any():
        raise ValueError(f"is {describe_value(value)} with numbers beyond 0 to 255, which its space ends at")
    out[...] = turn(value, shape)


def _float_box(low: NDArray[Any], high: NDArray[Any]) -> Box:
    with np.errstate(over="ignore"):  # the largest double is no bound in single precision
        return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
