"""What a call of a gymnasium environment returned, held to gymnasium's interface."""

from typing import Any, Literal

import numpy as np

from a3c_exp.spaces.checks import describe_value, single_number

Call = Literal["reset", "step"]
PLAIN_NUMBERS = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32})
"""The types of rewards that need no second look."""
_EXPECTED = {"reset": (2, "(observation, info)"), "step": (5, "(observation, reward, terminated, truncated, info)")}


def check_reward(reward: Any) -> float:
    """A reward of an unusual type as a number; a ValueError if it is none, or several."""
    try:
        return single_number(reward)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the reward {error}") from error


def check_flag(name: str, value: Any) -> bool:
    """``terminated`` or ``truncated`` as a flag; a ValueError if it is none, or several."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    try:
        return bool(single_number(value))
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {describe_value(value)}, but it is True or False") from None


def describe_mistake(call: Call, returned: Any, error: Exception) -> str:
    """What is wrong with what a call returned: the number of values, or what the ``error`` says about one of them."""
    count, expected = _EXPECTED[call]
    if isinstance(returned, tuple | list) and len(returned) == count:
        return f"{call}(): {error}"
    values = f"{len(returned)} values" if isinstance(returned, tuple | list) else describe_value(returned)
    return f"{call}() returned {values}, but gymnasium expects {expected}"
