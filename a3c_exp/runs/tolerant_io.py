"""Reading files that may be half-written, damaged or absent: what can be read is returned, what cannot is said."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from a3c_exp.runs.log_records import JsonObject
from a3c_exp.system.errors import first_line

_load = partial(yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml's is 8 times quicker
_load_once = cache(_load)
_TAIL_BYTES = 16_384  # that hold the last lines of a file, however long it is
_TOP_LEVEL_KEY = re.compile(r"\n(?=[A-Za-z_])")


def number(value: object) -> float:
    """``value`` as a float, or NaN if it is not a number (``None``, text, a list ...)."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # JSON knows integers of any size
        return math.nan


def mapping(value: object) -> JsonObject:
    """``value`` if it is a mapping, else an empty one: for fields that may be ``null`` or damaged."""
    return value if isinstance(value, Mapping) else {}


def items_as_text(value: object) -> str:
    """``key item`` of each item of a mapping that has a value; empty if ``value`` is none."""
    return ", ".join(f"{key} {item}" for key, item in mapping(value).items() if item is not None)


def strings(value: object) -> tuple[str, ...]:
    """``value`` if it is a list, its items as text; else nothing."""
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def date(value: object) -> str:
    """A point in time to the minute; empty if ``value`` is none."""
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def printable(text: str) -> str:
    """``text`` fit for a terminal, an SVG and a UTF-8 file: whatever cannot be printed becomes �."""
    if text.isprintable():  # nearly always, and checked a hundred times as quickly
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def relative_to_cwd(path: Path) -> str:
    """``path`` from here, since a page that is passed on should not name its author's folders; absolute if it is not below."""
    full, here = path.resolve(), Path.cwd().resolve()
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def read_text(path: Path, problems: list[str], *, required: bool = True) -> str:
    """The file's text, undecodable bytes replaced; empty, with a note in ``problems``, if it cannot be had."""
    try:
        with path.open("rb", buffering=0) as file:  # twice as quick as read_bytes; a list of runs reads thousands
            return file.read().decode(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if required:
            problems.append(f"{path.name} is missing")
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror or error}")
    return ""


def read_json_object(path: Path, problems: list[str], *, required: bool = True) -> JsonObject | None:
    """The JSON object in ``path``; ``None``, with a note in ``problems``, if it is missing, empty or damaged."""
    before = len(problems)
    text = read_text(path, problems, required=required)
    value = parse_object(text)
    if value is None and len(problems) == before and path.exists():
        problems.append(f"{path.name} is " + ("damaged: not a JSON object" if text.strip() else "empty"))
    return value


def read_yaml(path: Path, problems: list[str], *, required: bool = True) -> Any:
    """What the YAML file holds, interpolations (``${...}``) as they are written; ``None`` if it cannot be had."""
    text = read_text(path, problems, required=required)
    if required and not text.strip() and path.exists():
        problems.append(f"{path.name} is empty")
    try:
        return parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} is damaged: {first_line(error)}")
        return None


def parse_yaml(text: str) -> Any:
    """What the YAML ``text`` holds. A thousand runs have few different lines between them, so each top-level key's text is
    parsed once and remembered; a text without such keys, or whose parts refer to each other (anchors), is parsed at once."""
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        *ended, last = _TOP_LEVEL_KEY.split(text)
        blocks = list(map(_load_once, (*(f"{one}\n" for one in ended), last)))
        if all(isinstance(block, dict) for block in blocks):
            return {key: value for block in blocks for key, value in block.items()}
    return _load(text)


def last_lines(path: Path) -> list[bytes]:
    """The last complete lines of a file and what stands behind them, the last first; none of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    return (lines if size <= _TAIL_BYTES else lines[1:])[::-1]


def last_json_object(path: Path) -> JsonObject:
    """The last complete line of a ``.jsonl`` file; empty if there is none."""
    return next(filter(None, map(parse_object, last_lines(path))), {})


def read_json_lines(path: Path) -> Iterator[JsonObject]:
    """The JSON objects that the file's lines are; what cannot be read is left out."""
    with suppress(OSError), path.open("rb") as file:
        yield from filter(None, map(parse_object, file))


def parse_object(text: str | bytes) -> JsonObject | None:
    """The JSON object that ``text`` is; ``None`` if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
