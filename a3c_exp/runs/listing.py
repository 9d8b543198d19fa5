"""Lists of runs, and of configurations ranked by their results over seeds: for a terminal, as plain lines, and as CSV."""

import csv
import io
import math
import os
import statistics
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a3c_exp.runs.config_values import MISSING, PER_RUN_KEYS, as_text, distinguishing_keys
from a3c_exp.runs.format_table import Column, Row, Terminal, TextCell, format_table
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.run_summary import BUDGET_COUNTS, METADATA_KEYS, RESULT_KEYS, RunSummary
from a3c_exp.runs.tolerant_io import date, number, printable
from a3c_exp.system.number_format import format_count, format_duration, format_mean_std, format_number

_IGNORED_KEYS = {"logger", *PER_RUN_KEYS}  # where results go is no difference between configurations
STATUS_STYLES = {"finished": "green", "running": "blue", "interrupted": "yellow", "failed": "bold red", "killed": "bold red"}
COLUMN_TITLES = {
    "env_steps": "env steps", "moving_average": "moving avg", "recent_return": "recent return", "wall_time": "time",
    "steps_per_second": "steps/s", "policy_lag": "lag", "policy_lag_max": "max lag", "created": "started",
}  # fmt: skip
"""Headings of keys that are not their own names."""
_COMMON_KEYS = ("env", "parallelism", "workers")  # in a line above the table where all runs share them
_DROP_RANKS = {
    "created": 9, "parallelism": 8, "wall_time": 7, "env": 6, "moving_average": 5, "env_steps": 4, "workers": 3, "seed": 2,
}  # fmt: skip
_INTEGER_KEYS = ("episodes", "env_steps", "updates", "steps_per_second", "evaluation_step", "best_step", "policy_lag_max")
_FORMATS: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(RESULT_KEYS, format_number),
    **dict.fromkeys(_INTEGER_KEYS, format_count),
    **dict.fromkeys(("wall_time", "seconds"), format_duration),
}
_TEXT_KEYS = ("path", "reason", "command")  # long texts are the last columns


def runs_table(runs: Sequence[RunSummary], terminal: Terminal, extra: Sequence[str] = (), grouped: bool = True) -> str:
    """A table of ``runs`` (at least one), a line each, in the given order, with ``extra`` keys as further columns. On a
    terminal, values that all share are in a line above it and, if ``grouped``, runs are under their folder; in a pipe every
    line has it all."""
    folders = [run.path.parent for run in runs]
    mixed = len({folder.is_absolute() for folder in folders}) > 1
    root = Path(os.path.commonpath([folder.absolute() if mixed else folder for folder in folders]))
    if not terminal.width:
        columns, keys = _columns((), extra)
        rows: list[Row] = [[TextCell(str(run.path)), *(format_cell(run, key, terminal) for key in keys)] for run in runs]
        return format_table(columns, rows, terminal)
    texts = {key: {as_text(value) for run in runs if (value := _shown_value(run, key)) is not MISSING} for key in _COMMON_KEYS}
    shared = {key: found.pop() for key, found in texts.items() if key not in extra and len(found) == 1 and len(runs) > 1}
    columns, keys = _columns(shared, extra)
    rows, folder = [], None
    for run in runs:
        parent, name = run.path.parent, os.path.relpath(run.path, root)
        if grouped and parent != root:
            if parent != folder:
                rows.append(TextCell(f"{os.path.relpath(parent, root)}/", "bold"))
            name = f"  {run.path.name}"
        folder = parent
        name = run.path.resolve().name if name == "." else name
        rows.append([TextCell(name), *(format_cell(run, key, terminal) for key in keys)])
    counts = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).most_common())
    title = f"{len(runs)} run{'s' * (len(runs) > 1)}: {counts}"
    head = f"{terminal.paint(title, 'bold')}{terminal.paint(f' in {root}', 'dim')}"
    if shared:
        head += terminal.paint("  all: " + ", ".join(f"{key}={value}" for key, value in shared.items()), "dim")
    return f"{head}\n\n{format_table(columns, rows, terminal)}"


def _columns(shared: Container[str], extra: Sequence[str]) -> tuple[list[Column], list[str]]:
    keys = [key for key in ("status", *_COMMON_KEYS, "seed") if key not in shared]
    keys += [key for key in extra if key not in (*keys, *_TEXT_KEYS)]
    keys += [key for key in ("env_steps", "moving_average", "evaluation", "wall_time", "created") if key not in keys]
    keys += [key for key in extra if key in _TEXT_KEYS and key not in keys]
    texts = {"env", "parallelism", *METADATA_KEYS} - {"seconds"}  # aligned left
    ranks = {**_DROP_RANKS, **dict.fromkeys(extra, 1), "status": 0, "evaluation": 0}
    return [Column("run"), *(Column(COLUMN_TITLES.get(key, key), key not in texts, ranks.get(key, 1)) for key in keys)], keys


def runs_csv(runs: Sequence[RunSummary], extra: Sequence[str] = ()) -> str:
    """Metadata, results, differing configuration values and ``extra`` keys as CSV; numbers in full, missing values empty."""
    configs = [dict(run.config_items()) for run in runs]
    differing = differing_keys(configs)
    first = ("path", "name", "group", "status", "reason", "env", "parallelism", "workers", "seed")
    keys = list(dict.fromkeys((*first, *RESULT_KEYS, *METADATA_KEYS, *extra)))
    pairs = zip(runs, configs, strict=True)
    rows = [
        [*(csv_value(run.value(key)) for key in keys), *(config.get(name, "") for name in differing)] for run, config in pairs
    ]
    return csv_text([[*keys, *(f"config.{name}" for name in differing)], *rows])


def differing_keys(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys whose values are not the same in all ``configs``, sorted."""
    names = sorted({name for config in configs for name in config}, key=natural_sort_key)
    return [name for name in names if len({config.get(name) for config in configs}) > 1]


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV, without a newline at the end."""
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue().rstrip("\n")


def sort_by_time(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The newest last; runs of one folder stay together, in natural order of their names."""
    groups: dict[Path, list[RunSummary]] = {}
    for run in runs:
        groups.setdefault(run.path.parent, []).append(run)
    dated = sorted(groups.values(), key=lambda group: max(str(run.value("created") or "") for run in group))
    return [run for group in dated for run in sorted(group, key=lambda run: natural_sort_key(run.path.name))]


def sort_by_key(runs: Iterable[RunSummary], key: str, descending: bool = False) -> list[RunSummary]:
    """In order of a value, numbers before words; runs without it come last either way."""
    valued: list[tuple[tuple[bool, float, Any], RunSummary]] = []
    rest = []
    for run in runs:
        value = run.value(key)
        size = number(value)
        if value is MISSING or value is None:
            rest.append(run)
        else:  # anything that is no number is text with numbers in it
            valued.append(((False, size, ()) if size == size else (True, 0.0, natural_sort_key(as_text(value))), run))
    return [run for _, run in sorted(valued, key=lambda pair: pair[0], reverse=descending)] + rest


def format_cell(summary: RunSummary, key: str, terminal: Terminal) -> TextCell:
    """A value of a run as text."""
    value = _shown_value(summary, key)
    if key == "status":
        share = budget_share(summary) if terminal.width and value == "running" else None
        text = value + (f" {share:.0%}" if share is not None else "")
        return TextCell(f"\N{BLACK CIRCLE} {text}" if terminal.unicode else text, STATUS_STYLES.get(value, "yellow"))
    if value is MISSING or value is None:
        return TextCell("-", "dim")
    if key in ("created", "ended"):
        return TextCell(date(value) or "-", "dim")
    if key in ("evaluation", "best"):
        low, high = summary.interval("evaluation")
        return TextCell(format_number(number(value), high - low), "bold")
    return TextCell(_FORMATS[key](number(value)) if key in _FORMATS else as_text(value))


def _shown_value(summary: RunSummary, key: str) -> Any:
    """The value of a column; of the option ``gymnasium``, which any task may have, the task."""
    value = summary.value(key)
    return summary.task if key == "env" and value == "gymnasium" else value


def budget_share(summary: RunSummary) -> float | None:
    """How much of its budget a run has used, from 0 to 1; ``None`` without a known budget."""
    budgets = ((number(summary.config.get(budget)), summary.result(count)) for budget, count in BUDGET_COUNTS.items())
    shares = [used / budget for budget, used in budgets if budget > 0 and used == used]
    return min(max(shares), 1.0) if shares else None


def csv_value(value: Any) -> str:
    """A value in full; empty for one that is not known."""
    if value is MISSING or value is None or value != value:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return printable(as_text(value) if isinstance(value, bool | list) else str(value))


@dataclass(frozen=True)
class RankedConfig:
    """A configuration and the results of its runs."""

    label: str  # what distinguishes it from the others, such as "workers=4 optimizer.lr=0.0003"
    values: tuple[tuple[str, str], ...]  # name and value of every key in which configurations differ
    results: tuple[float, ...]  # a number of each run

    @property
    def mean(self) -> float:
        return statistics.fmean(self.results)

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one."""
        return statistics.stdev(self.results) if len(self.results) > 1 else math.nan


def rank_configs(runs: Sequence[RunSummary], key: str, minimize: bool = False) -> list[RankedConfig]:
    """Configurations over the runs that differ in nothing but the seed, the best mean first."""
    items = [run.config_items() for run in runs]
    configs = [{name: text for name, text in one if not {name, name.partition(".")[0]} & _IGNORED_KEYS} for one in items]
    differing = differing_keys(configs)
    groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for run, config in zip(runs, configs, strict=True):
        if not math.isnan(result := number(run.value(key))):
            groups.setdefault(tuple((name, config.get(name, "(none)")) for name in differing), []).append(result)
    typed = {text.lstrip("+~").partition("=")[0] for run in runs for text in run.overrides}
    shown_keys = distinguishing_keys(list(groups), typed)
    ranked = [RankedConfig(_label(values, shown_keys), values, tuple(results)) for values, results in groups.items()]
    return sorted(ranked, key=lambda config: config.mean, reverse=not minimize)


def ranking_table(ranked: Sequence[RankedConfig], key: str, terminal: Terminal) -> str:
    """A line for each configuration: mean and standard deviation over its runs, their minimum and maximum."""
    numbers = (("runs", 0), (f"{key}, mean", 0), ("from", 2), ("to", 2))
    columns = [Column("configuration"), *(Column(title, True, rank) for title, rank in numbers)]
    rows = []
    for config in ranked:
        low, high = min(config.results), max(config.results)
        mean = TextCell(format_mean_std(config.mean, config.std), "bold")
        ends = (TextCell(format_number(end, high - low)) for end in (low, high))
        rows.append([TextCell(config.label), TextCell(str(len(config.results))), mean, *ends])
    return format_table(columns, rows, terminal)


def ranking_csv(ranked: Sequence[RankedConfig], key: str) -> str:
    """The same as CSV: numbers in full, and a column for each key in which configurations differ."""
    names = [name for name, _ in ranked[0].values] if ranked else []
    rows = [["runs", f"{key}_mean", f"{key}_std", f"{key}_min", f"{key}_max", *(f"config.{name}" for name in names)]]
    for config in ranked:
        numbers = (len(config.results), config.mean, config.std, min(config.results), max(config.results))
        rows.append([*map(csv_value, numbers), *(text for _, text in config.values)])
    return csv_text(rows)


def _label(values: tuple[tuple[str, str], ...], shown_keys: set[str]) -> str:
    """Such as ``workers=4 optimizer=Adam``: of classes the names alone."""
    texts = []
    for name, value in values:
        if name in shown_keys:
            short = name.removesuffix("._target_")
            texts.append(f"{short}={value if short == name else value.rpartition('.')[2]}")
    return " ".join(texts) or "the only configuration"
