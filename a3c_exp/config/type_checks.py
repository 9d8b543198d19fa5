"""Types with bounds: ``Annotated[int, Ge(1)]`` says what a value may be, once, for the check, its message and the docs."""

import math
import operator
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Ne:
    """The value is not this one."""

    ne: float


@dataclass(frozen=True)
class In:
    """The value is one of these words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class OneOf:
    """The value is of one of these types, which is more than OmegaConf's unions can say: lists may be among them."""

    types: Any


@dataclass(frozen=True)
class Example:
    """A value to suggest where the default is none."""

    value: float


PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]

_COMPARISONS: Mapping[type, tuple[str, Callable[[Any, Any], bool], str, str]] = {
    Ge: ("ge", operator.ge, "of at least", "≥"),
    Gt: ("gt", operator.gt, "above", ">"),
    Le: ("le", operator.le, "of at most", "≤"),
    Lt: ("lt", operator.lt, "below", "<"),
    Ne: ("ne", operator.ne, "other than", "≠"),
}
"""Of each kind of bound: its attribute, its test, how it is said in a sentence and in a table."""
_PLAIN_WORD = re.compile(r"[A-Za-z_][\w./:-]*")  # which needs no quotes in an override
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a word", type(None): "null"}


def matches_type(value: Any, hint: Any, bounds: bool = True) -> bool:
    """Whether a plain value suits a type hint, and its ``bounds`` if asked; a hint that is no plain type suits everything."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        in_bounds = not bounds or all(_satisfies(value, constraint) for constraint in arguments[1:])
        return matches_type(value, annotated_type(hint), bounds) and in_bounds
    if origin in (typing.Union, types.UnionType):
        return any(matches_type(value, argument, bounds) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if isinstance(hint, type) and issubclass(hint, Enum):
        return isinstance(value, hint) or value in [member.value for member in hint]
    if hint in (int, float):
        is_number = isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
        return is_number and (not bounds or isinstance(value, int) or math.isfinite(value))
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    if origin is tuple and Ellipsis not in arguments:
        same_length = isinstance(value, list | tuple) and len(value) == len(arguments)
        return same_length and all(map(matches_type, value, arguments, [bounds] * len(arguments)))
    if origin in (list, tuple, Sequence):
        return isinstance(value, list | tuple) and all(matches_type(item, arguments[0], bounds) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict)
    return True


def annotated_type(hint: Any) -> Any:
    """The type under an ``Annotated``'s bounds, or that of its ``OneOf``."""
    annotated, *constraints = typing.get_args(hint)
    return next((constraint.types for constraint in constraints if isinstance(constraint, OneOf)), annotated)


def _satisfies(value: Any, constraint: Any) -> bool:
    if isinstance(constraint, In):
        return value in constraint.words
    if type(constraint) not in _COMPARISONS:
        return True
    attribute, holds, _, _ = _COMPARISONS[type(constraint)]
    return not isinstance(value, int | float) or holds(value, getattr(constraint, attribute))


def describe_type(hint: Any) -> str:
    """A type hint in words, to follow ``it is``.

    >>> describe_type(Annotated[int, Ge(1)] | None)
    'a whole number of at least 1 or null'
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        if words := [word for constraint in arguments[1:] if isinstance(constraint, In) for word in constraint.words]:
            return " or ".join(words)
        return f"{describe_type(annotated_type(hint))} {' and '.join(phrase for _, phrase, _ in bounds_of(hint))}".rstrip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe_type(argument) for argument in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(member.value) for member in hint)
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}: " + ", ".join(describe_type(argument) for argument in arguments)
    if origin is Mapping:
        return "a mapping"
    if origin in (list, Sequence, tuple):
        return f"a list, each {describe_type(arguments[0])}"
    return _TYPE_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def bounds_of(hint: Any) -> Iterator[tuple[float, str, str]]:
    """Each bound of an ``Annotated`` number: its value, as words and as a symbol with the value behind it."""
    for constraint in typing.get_args(hint)[1:]:
        if type(constraint) in _COMPARISONS:
            attribute, _, words, symbol = _COMPARISONS[type(constraint)]
            limit = getattr(constraint, attribute)
            yield limit, f"{words} {limit:g}", f"{symbol} {limit:g}"


def value_problem(name: str, value: Any, hint: Any, default: Any = None) -> str | None:
    """What is wrong with a plain value that is typed as ``name``, what is allowed and what to type, in one line; ``None`` if it
    is right. The ``default``, if any, is suggested where the ``hint`` has no ``Example``."""
    if matches_type(value, hint):
        return None
    allowed = describe_type(hint)
    if matches_type(value, hint, bounds=False) and isinstance(value, int) and "whole number of at" in allowed:
        allowed = allowed.partition("whole number of ")[2]  # it is a whole number; that need not be said
    example = [value] if isinstance(default, list | tuple) and matches_type([value], hint) else next(_examples(hint), default)
    override = f"{name}={_as_typed(example)}"
    suggestion = "" if example is None else f". Try '{override}'" if "[" in override else f". Try {override}"
    return f"{name} is {_as_typed(value)}, but it is {allowed}{suggestion}"


def _examples(hint: Any) -> Iterator[float]:
    for argument in typing.get_args(hint):
        if isinstance(argument, Example):
            yield argument.value
        elif typing.get_origin(argument) is not None:
            yield from _examples(argument)


def _as_typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_as_item, value))}]"
    return repr(value) if isinstance(value, str) else str(value)


def _as_item(value: Any) -> str:
    return value if isinstance(value, str) and _PLAIN_WORD.fullmatch(value) else _as_typed(value)


def field_problems(cls: type, values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The problems of ``values`` that a dataclass's fields bound, nested ones too; ``prefix`` stands before a field's name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in fields(cls):
        hint, value = hints[field.name], values[field.name]
        default = None if field.default is MISSING or field.default == "???" else field.default
        if is_dataclass(hint):
            yield from field_problems(typing.cast(type, hint), value, f"{prefix}{field.name}.")
        elif problem := value_problem(f"{prefix}{field.name}", value, hint, default):
            yield problem
