"""What a key of the configuration may be, in words, as the program itself answers."""

import bisect
import enum
import math
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.system.errors import ConfigError

ValueCheck = Callable[[Any], bool]
_CANDIDATE_BOUNDS, _LARGEST_PROBE = (0, 1, 10), 10**9
"""Where numbers may end that are not whole, and what no bound is as large as."""


def allowed_values(hint: Any, accepts: ValueCheck) -> str:
    """A type hint in words, numbers with the bounds that ``accepts`` has."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed_values(one, accepts) for one in inside)
    if hint is type(None):
        return "null"
    if hint is bool:
        return "true or false"
    if hint in (int, float):
        return ("whole number" if hint is int else "number") + _bounds(accepts, whole=hint is int)
    if hint is str:
        return "text"
    if hint is Any:
        return ""
    if origin is typing.Literal or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        return ", ".join(f"`{one}`" for one in (inside or [one.value for one in hint]))
    if origin is tuple and Ellipsis not in inside:
        return f"list of {len(inside)} numbers"
    if origin in (list, tuple, Sequence):
        kinds = {int: "whole numbers", float: "numbers", str: "words"}
        return f"list of {kinds.get(inside[0], 'lists' if typing.get_origin(inside[0]) is list else 'names')}"
    return "mapping"


def _bounds(accepts: ValueCheck, whole: bool) -> str:
    """Between which numbers values are accepted."""
    found, step = [], 1 if whole else 1e-6
    lowest = next((bound for bound in _CANDIDATE_BOUNDS if accepts(bound) or accepts(bound + step)), 0)
    lowest += int(whole and not accepts(lowest))
    if not accepts(-1):
        found.append(f"≥ {lowest}" if accepts(lowest) else f"> {lowest}")
    elif not accepts(0):
        found.append("≠ 0")
    if not accepts(_LARGEST_PROBE):
        highest = next((bound for bound in _CANDIDATE_BOUNDS if bound > lowest and not accepts(bound + step)), _LARGEST_PROBE)
        if whole:
            highest = bisect.bisect(range(_LARGEST_PROBE), False, lo=lowest, key=lambda value: not accepts(value)) - 1
        found.append(f"≤ {highest}" if accepts(highest) else f"< {highest}")
    return "".join(f"{',' if i else ''} {bound}" for i, bound in enumerate(found))


def value_checks(values: DictConfig, check: Callable[[], Any], max_probe: float = math.inf) -> Callable[[str], ValueCheck]:
    """For each key of ``values`` what tells whether ``check`` lets a value pass; above ``max_probe`` all are taken to."""

    def of(key: str) -> ValueCheck:
        def accepts(value: Any) -> bool:
            if value > max_probe:
                return True
            before = OmegaConf.select(values, key)
            try:
                OmegaConf.update(values, key, value)
                check()
            except (ConfigError, OmegaConfBaseException):
                return False
            finally:
                OmegaConf.update(values, key, before)
            return True

        return accepts

    return of


def type_hint(owner: type, key: str) -> Any:
    """The hint of a dotted key of a dataclass or a constructor."""
    name, _, rest = key.partition(".")
    hints = typing.get_type_hints(owner if is_dataclass(owner) else owner.__init__)  # type: ignore[misc]
    found = hints.get(name)
    if not rest:
        return found
    classes = [one for one in (found, *typing.get_args(found)) if is_dataclass(one)]
    return type_hint(classes[0], rest) if classes else None  # type: ignore[arg-type]
