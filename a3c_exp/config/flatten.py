"""Nested mappings as one with dotted keys."""

from collections.abc import Collection, Mapping
from typing import Any


def flatten(values: Mapping[str, Any], ignore: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """One mapping with dotted keys, without those in ``ignore`` and all below them; an empty mapping stays a value.

    >>> flatten({"a": {"b": 1, "c": [2]}, "d": {}})
    {'a.b': 1, 'a.c': [2], 'd': {}}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in ignore:
            continue
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, ignore, f"{name}.")
        else:
            flat[name] = value
    return flat
