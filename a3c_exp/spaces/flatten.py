"""The order in which nested spaces are laid out flat: the one thing that a policy head and an environment agree on.

An action travels as one vector: what a head puts together component by component, an environment takes apart in the same order.
"""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

FUNDAMENTAL_SPACES = (Box, Discrete, MultiDiscrete, MultiBinary)


def leaf_spaces(space: Space[Any], path: str = "") -> list[tuple[str, Space[Any]]]:
    """The spaces within a nested Tuple or Dict, in order, each with its path for messages; a simple space is its own leaf.

    >>> [path for path, _ in leaves(Dict(arm=Tuple([Discrete(2), Box(0, 1)]), jump=Discrete(2)))]
    ['arm.0', 'arm.1', 'jump']
    """
    if isinstance(space, Dict):
        inner = [(str(key), one) for key, one in space.spaces.items()]
    elif isinstance(space, Tuple):
        inner = [(str(place), one) for place, one in enumerate(space.spaces)]
    else:
        return [(path, space)]
    return [leaf for key, one in inner for leaf in leaf_spaces(one, f"{path}.{key}" if path else key)]


def describe_unsupported(space: Space[Any]) -> str | None:
    """What of a space no part of this program can take, in words; ``None`` if all of it can be taken."""
    found = leaf_spaces(space)
    if not found:
        return f"an empty {type(space).__name__} space"
    for path, leaf in found:
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
