"""Configurations as they stand in ``.hydra/config.yaml``: with references resolved, flattened, and told apart."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from a3c_exp.config.flatten import flatten
from a3c_exp.runs.log_records import JsonObject

PER_RUN_KEYS = ("seed", "num_seeds", "name", "ablation.report", "ablation.seeds", "ablation.batch_seeds", "ablation.max_seeds")
"""What runs may differ in and still be seeds of one configuration: nothing of it changes what is trained."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")


def resolve_reference(config: JsonObject, key: str, value: Any) -> Any:
    """``value``, which stands at ``key``, or what its reference ``${a.b}`` leads to; anything else as it is written."""
    for _ in range(8):  # a reference to a reference; in circles it stays what it is
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[1] == key or (found := select(config, match[1])) is MISSING:
            break
        value = found
    return value


class Missing:
    """The type of ``MISSING``: there is no such key. ``None`` would be a value."""

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


def select(config: JsonObject, key: str) -> Any:
    """The value at the dotted ``key``, as it is written; ``MISSING`` if there is none."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def flatten_as_text(config: JsonObject, ignore: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """``(dotted name, value as text)`` of every leaf; ``1e-4``, ``0.0001`` and ``"1e-4"`` give the same text."""
    return ((name, as_text(value)) for name, value in flatten(config, ignore).items())


def as_text(value: Any) -> str:
    """A value as text: the same for all ways to write the same number."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ", ".join(map(as_text, value)) + "]"
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError, OverflowError):
        return str(value)


def distinguishing_keys(configurations: Sequence[tuple[tuple[str, str], ...]], preferred: Iterable[str] = ()) -> set[str]:
    """Few names whose values distinguish all ``configurations`` (of the same names): greedily, ``preferred`` ones first."""
    known = set(preferred)
    names = {name for key in configurations for name, _ in key}
    order = sorted(names, key=lambda name: (name not in known, "_target_" in name, name.count("."), len(name), name))
    chosen: set[str] = set()

    def parts(candidates: set[str]) -> int:
        return len({tuple(pair for pair in key if pair[0] in candidates) for key in configurations})

    while parts(chosen) < parts(names):
        chosen.add(max(order, key=lambda name: parts({*chosen, name})))
    return chosen
