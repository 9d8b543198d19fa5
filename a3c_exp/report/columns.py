"""The numbers of run directories as columns."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.tolerant_io import number, parse_object, read_text
from a3c_exp.stats.significance import FloatArray as FloatArray

Columns = Mapping[str, FloatArray]  # every column [lines], NaN where a line had no such number


def read_columns(
    path: Path, names: Iterable[str], problems: list[str], lists: Iterable[str] = (), one_hot: str = "", required: bool = True
) -> Columns:
    """The numbers of a ``.jsonl`` file, one JSON object a line, as one array a field, all of equal length.

    Args:
        names: fields that are there even if no line has them (then all NaN); others are if the last line has a number there.
        problems: gets a note for a file that is missing or empty, if ``required``, and for lines that cannot be parsed, which
            are left out: the last one, where the writer was killed or is writing now, or a damaged one.
        lists: fields that hold a list of numbers; each becomes three columns, ``<name>.low``, ``<name>.mean`` and
            ``<name>.high`` of the list, NaN where it is empty or no list.
        one_hot: a column ``<field>.<word>``, 1 where the field says that word and 0 elsewhere.
    """
    before = len(problems)
    text = read_text(path, problems, required=required)
    rows = _parse_rows([line for line in text.split("\n") if line.strip()], path.name, problems)
    if required and not rows and len(problems) == before:
        problems.append(f"{path.name} is empty")
    last = rows[-1] if rows else {}
    numeric = (key for key, value in last.items() if isinstance(value, int | float) and not isinstance(value, bool))
    found = {name: _column([row.get(name) for row in rows]) for name in dict.fromkeys((*names, *numeric))}
    for name in lists:
        found |= _low_mean_high(name, [row.get(name) for row in rows])
    if one_hot:
        field, _, word = one_hot.partition(".")
        found[one_hot] = np.array([row.get(field) == word for row in rows], dtype=np.float64)
    return found


def _column(values: list[object]) -> FloatArray:
    """One number a line; NaN for what is none, which numpy makes of ``None`` by itself and quickly."""
    try:
        column = np.array(values, dtype=np.float64)
        if column.ndim == 1:
            return column
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array([number(value) for value in values], dtype=np.float64)


def _low_mean_high(name: str, values: Sequence[object]) -> dict[str, FloatArray]:
    known = [[number(item) for item in value] if isinstance(value, list) and value else [math.nan] for value in values]
    longest = max(map(len, known), default=1)
    table = np.array([item + item[-1:] * (longest - len(item)) for item in known]).reshape(len(known), longest)
    means = np.array([sum(item) / len(item) for item in known], dtype=np.float64)
    return {f"{name}.low": table.min(axis=1), f"{name}.mean": means, f"{name}.high": table.max(axis=1)}


def _parse_rows(lines: list[str], name: str, problems: list[str]) -> list[JsonObject]:
    try:  # one call for a file is a third quicker than one a line, and nearly every file is intact
        rows = json.loads("[" + ",".join(lines) + "]")
        if len(rows) == len(lines) and all(isinstance(row, dict) for row in rows):
            return list(rows)
    except (ValueError, RecursionError):
        pass
    parsed = [parse_object(line) for line in lines]
    damaged = sum(row is None for row in parsed)
    if damaged and parsed[-1] is None:
        problems.append(f"{name}: the last line is half-written and left out")
        damaged -= 1
    if damaged:
        problems.append(f"{name}: {damaged} damaged line{'s' * (damaged > 1)} left out")
    return [row for row in parsed if row is not None]
