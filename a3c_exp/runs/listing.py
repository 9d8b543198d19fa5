"""Lists of runs: for a terminal, as plain lines, and as CSV. No numpy here."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.discovery import natural_sort_key
from a3c_exp.runs.format_table import Column, Row, Terminal, TextCell, format_table
from a3c_exp.runs.run_summary import METADATA_KEYS, RESULT_KEYS, RunSummary
from a3c_exp.runs.tolerant_io import number, printable
from a3c_exp.system.number_format import format_count, format_duration, format_number

STATUS_STYLES = {"finished": "green", "running": "blue", "interrupted": "yellow", "failed": "bold red", "killed": "bold red"}
_TITLES = {
    "env_steps": "env steps", "moving_average": "moving avg", "recent_return": "recent return", "wall_time": "time",
    "steps_per_second": "steps/s", "policy_lag": "lag", "policy_lag_max": "max lag", "created": "started",
}  # fmt: skip
_COMMON_KEYS = ("env", "parallelism", "workers")  # said once where they are the same for all
_DROP_RANKS = {
    "created": 9, "parallelism": 8, "wall_time": 7, "env": 6, "moving_average": 5, "env_steps": 4, "workers": 3, "seed": 2,
}  # fmt: skip
_INTEGER_KEYS = ("episodes", "env_steps", "updates", "steps_per_second", "evaluation_step", "best_step", "policy_lag_max")
_TEXT_KEYS = ("path", "reason", "command")  # columns of running text stand at the end


def runs_table(summaries: Sequence[RunSummary], terminal: Terminal, extra: Sequence[str] = (), grouped: bool = True) -> str:
    """A table of ``summaries``, a line each, in the given order.

    Args:
        summaries: at least one.
        terminal: with a width, what all share is said once above and, if ``grouped``, runs stand below their folder; without
            one (a pipe), every line has its whole path and everything else.
        extra: keys that get a column besides the usual ones.
    """
    root = common_folder(summaries)
    pretty = terminal.width > 0
    same = {
        key: value
        for key in _COMMON_KEYS
        if pretty and key not in extra and (value := _common_value(key, summaries)) is not None
    }
    keys = [key for key in ("status", *_COMMON_KEYS, "seed") if key not in same]
    keys += [key for key in extra if key not in (*keys, *_TEXT_KEYS)]
    keys += [key for key in ("env_steps", "moving_average", "evaluation", "wall_time", "created") if key not in keys]
    keys += [key for key in extra if key in _TEXT_KEYS and key not in keys]
    columns = [Column("run"), *(_make_column(key, extra) for key in keys)]
    rows: list[Row] = []
    folder: Path | None = None
    for entry in summaries:
        parent, name = entry.path.parent, os.path.relpath(entry.path, root) if pretty else str(entry.path)
        if grouped and pretty and parent != root:
            if parent != folder:
                rows.append(TextCell(f"{os.path.relpath(parent, root)}/", "bold"))
            name = f"  {entry.path.name}"
        folder = parent
        cells = [format_cell(entry, key, terminal) for key in keys]
        rows.append([TextCell(name if name != "." else entry.path.resolve().name), *cells])
    table = format_table(columns, rows, terminal)
    if not pretty:
        return table
    head = f"{terminal.paint(_count_statuses(summaries), 'bold')}{terminal.paint(f' in {root}', 'dim')}"
    if same:
        head += terminal.paint("  all: " + ", ".join(f"{key}={value}" for key, value in same.items()), "dim")
    return f"{head}\n\n{table}"


def runs_csv(summaries: Sequence[RunSummary], extra: Sequence[str] = ()) -> str:
    """Everything about ``summaries`` as CSV: facts, results, the configuration values that differ, and ``extra`` keys.

    Numbers are in full; what a run does not say is empty.
    """
    leaves = {entry: dict(entry.config_items()) for entry in summaries}
    names = sorted({name for values in leaves.values() for name in values}, key=natural_sort_key)
    differing = [name for name in names if len({values.get(name) for values in leaves.values()}) > 1]
    fixed = ("path", "name", "group", "status", "reason", "env", "parallelism", "workers", "seed")
    rest = tuple(key for key in METADATA_KEYS if key not in fixed)
    keys = list(dict.fromkeys((*fixed, *RESULT_KEYS, *rest, *extra)))
    rows = [
        [_csv_value(entry.value(key)) for key in keys] + [leaves[entry].get(name, "") for name in differing]
        for entry in summaries
    ]
    return csv_text([[*keys, *(f"config.{name}" for name in differing)], *rows])


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV."""
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue()


def sort_by_time(summaries: Iterable[RunSummary]) -> list[RunSummary]:
    """The newest last; runs of one folder stay together, in natural order of their names."""
    groups: dict[Path, list[RunSummary]] = {}
    for entry in summaries:
        groups.setdefault(entry.path.parent, []).append(entry)
    dated = sorted(groups.values(), key=lambda group: max(str(entry.value("created") or "") for entry in group))
    return [entry for group in dated for entry in sorted(group, key=lambda entry: natural_sort_key(entry.path.name))]


def sort_by_key(summaries: Iterable[RunSummary], key: str, descending: bool = False) -> list[RunSummary]:
    """In order of a value, numbers before words; runs without it come last either way."""
    known: list[RunSummary] = []
    unknown: list[RunSummary] = []
    for entry in summaries:
        value = entry.value(key)
        (unknown if value is MISSING or value is None else known).append(entry)
    return sorted(known, key=lambda entry: natural_sort_value(entry.value(key)), reverse=descending) + unknown


def natural_sort_value(value: Any) -> tuple[bool, float, Any]:
    """A key that sorts numbers by size and anything else as text with numbers in it."""
    found = number(value)
    return (False, found, ()) if found == found else (True, 0.0, natural_sort_key(as_text(value)))


def common_folder(summaries: Sequence[RunSummary]) -> Path:
    """The deepest folder that all of them lie in, as they were named."""
    paths = [str(entry.path.parent) for entry in summaries]
    try:
        return Path(os.path.commonpath(paths))
    except ValueError:  # some named from here, some from the root
        return Path(os.path.commonpath([str(Path(path).absolute()) for path in paths]))


def format_cell(summary: RunSummary, key: str, terminal: Terminal) -> TextCell:
    """One value of a run, written for people."""
    value = summary.value(key)
    if key == "status":
        return _status_cell(summary, terminal)
    if value is MISSING or value is None:
        return TextCell("-", "dim")
    if key in ("created", "ended"):
        return TextCell(_format_date(value), "dim")
    if key in ("wall_time", "seconds"):
        return TextCell(format_duration(number(value)))
    if key in _INTEGER_KEYS:
        return TextCell(format_count(number(value)))
    if key in ("evaluation", "best"):
        low, high = (summary.result(f"evaluation_{edge}") for edge in ("low", "high"))
        return TextCell(format_number(number(value), high - low), "bold")
    if key in RESULT_KEYS:
        return TextCell(format_number(number(value)))
    return TextCell(as_text(value))


def budget_share(summary: RunSummary) -> float | None:
    """How much of its budget a run has used, from 0 to 1; ``None`` if it has none that is known."""
    done = {"max_episodes": "episodes", "max_env_steps": "env_steps", "max_updates": "updates"}
    budgets = ((number(summary.config.get(budget)), summary.result(counted)) for budget, counted in done.items())
    shares = [spent / budget for budget, spent in budgets if budget > 0 and spent == spent]
    return min(max(shares), 1.0) if shares else None


def _status_cell(summary: RunSummary, terminal: Terminal) -> TextCell:
    share = budget_share(summary) if terminal.width and summary.status == "running" else None
    text = summary.status + (f" {share:.0%}" if share is not None else "")
    return TextCell(f"\N{BLACK CIRCLE} {text}" if terminal.unicode else text, STATUS_STYLES.get(summary.status, "yellow"))


def _make_column(key: str, extra: Sequence[str]) -> Column:
    words = key in ("status", "env", "parallelism", "created", "ended", *METADATA_KEYS) and key != "seconds"
    rank = 0 if key in ("status", "evaluation") else 1 if key in extra else _DROP_RANKS.get(key, 1)
    return Column(_TITLES.get(key, key), not words, rank)


def _common_value(key: str, summaries: Sequence[RunSummary]) -> str | None:
    found = {as_text(value) for entry in summaries if (value := entry.value(key)) is not MISSING}
    return found.pop() if len(found) == 1 and len(summaries) > 1 else None


def _count_statuses(summaries: Sequence[RunSummary]) -> str:
    statuses = Counter(entry.status for entry in summaries)
    return f"{len(summaries)} run{'s' * (len(summaries) > 1)}: " + ", ".join(
        f"{n} {status}" for status, n in statuses.most_common()
    )


def _format_date(value: object) -> str:
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return "-"


def _csv_value(value: Any) -> str:
    if value is MISSING or value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return printable(as_text(value) if isinstance(value, bool | list) else str(value))
