"""What a key of the configuration may be, in words, from the annotation that is also its check."""

import enum
import types
import typing
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any

from a3c_exp.config.type_checks import In, annotated_type, bounds_of


def allowed_values(hint: Any) -> str:
    """A type hint in words, numbers with their bounds."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        if words := [word for constraint in arguments[1:] if isinstance(constraint, In) for word in constraint.words]:
            return ", ".join(f"`{word}`" for word in words)
        bounds = ", ".join(symbol for _, _, symbol in bounds_of(hint))
        return f"{allowed_values(annotated_type(hint))} {bounds}".strip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed_values(argument) for argument in arguments)
    if hint is Any or hint is None:
        return ""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple and Ellipsis not in arguments:
        return f"list of {len(arguments)} {_plural(arguments[0])}"
    if origin in (list, tuple, Sequence):
        return f"list of {_plural(arguments[0])}"
    names = {type(None): "null", bool: "true or false", int: "whole number", float: "number", str: "text"}
    return names.get(hint, "mapping")


def _plural(hint: Any) -> str:
    name = allowed_values(hint)
    for singular, plural in (("list", "lists"), ("mapping", "mappings"), ("number", "numbers"), ("text", "words")):
        if singular in name:
            return name.partition(" of ")[0].replace(singular, plural).replace("text", "words")
    return "values"


def type_hint(owner: type, key: str) -> Any:
    """The hint of a dotted key of a dataclass or a constructor, bounds included; ``None`` without one."""
    name, _, rest = key.partition(".")
    hints = typing.get_type_hints(owner if is_dataclass(owner) else owner.__init__, include_extras=True)  # type: ignore[misc]
    hint = hints.get(name)
    if not rest:
        return hint
    classes = [candidate for candidate in (hint, *typing.get_args(hint)) if is_dataclass(candidate)]
    return type_hint(classes[0], rest) if classes else None  # type: ignore[arg-type]
