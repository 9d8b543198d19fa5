"""The order in which nested spaces are flattened, which policy heads and environments share.

An action is one vector: a head joins its components and an environment splits it in the same order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

FUNDAMENTAL_SPACES = (Box, Discrete, MultiDiscrete, MultiBinary)


def leaf_paths(space: Space[Any], keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Space[Any]]]:
    """The spaces within a nested Tuple or Dict, in order, each with the keys that lead to it; of a simple space itself."""
    if isinstance(space, Dict | Tuple):
        for key, part in space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces):
            yield from leaf_paths(part, (*keys, key))
    else:
        yield keys, space


def leaf_spaces(space: Space[Any]) -> list[tuple[str, Space[Any]]]:
    """The same with paths for messages.

    >>> [path for path, _ in leaf_spaces(Dict(arm=Tuple([Discrete(2), Box(0, 1)]), jump=Discrete(2)))]
    ['arm.0', 'arm.1', 'jump']
    """
    return [(".".join(map(str, keys)), leaf) for keys, leaf in leaf_paths(space)]


def has_numbers_alone(space: Space[Any]) -> bool:
    """Whether an observation is a vector of numbers, or has such vectors and choices as its parts, and no pictures.

    >>> has_numbers_alone(Box(-1, 1, (3,))), has_numbers_alone(Box(0, 1, (3, 8, 8))), has_numbers_alone(Discrete(2))
    (True, False, False)
    """
    boxes = [leaf for _, leaf in leaf_spaces(space) if isinstance(leaf, Box)]
    return bool(boxes) and all(len(box.shape) <= 1 for box in boxes)


def consecutive_slices(sizes: Sequence[int]) -> list[slice]:
    """Where parts of these sizes lie in one vector."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def describe_unsupported(space: Space[Any]) -> str | None:
    """Which part of a space is not supported, in words; ``None`` if all of it is."""
    leaves = leaf_spaces(space)
    if not leaves:
        return f"an empty {type(space).__name__} space"
    for path, leaf in leaves:
        at = f" (under {path})" if path else ""
        if not isinstance(leaf, FUNDAMENTAL_SPACES):
            return f"a {type(leaf).__name__} space{at}"
        if isinstance(leaf, Box) and leaf.dtype.kind not in "fiub":
            return f"a Box of {leaf.dtype} numbers{at}"
        if leaf_size(leaf) == 0:
            return f"a {type(leaf).__name__} space without any number in it{at}"
    return None


def leaf_size(leaf: Space[Any]) -> int:
    """How many numbers an element of a simple space is: 1 for Discrete, its shape's product otherwise."""
    assert leaf.shape is not None, leaf
    return int(np.prod(leaf.shape, dtype=np.int64))
