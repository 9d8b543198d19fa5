"""Which runs, and which configurations over their seeds, came out best. No numpy here."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.runs.config_values import MISSING, PER_RUN_KEYS, distinguishing_keys
from a3c_exp.runs.discovery import natural_sort_key
from a3c_exp.runs.format_table import Column, Terminal, TextCell, format_table
from a3c_exp.runs.listing import csv_text
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.tolerant_io import number
from a3c_exp.system.number_format import format_mean_std, format_number

_IGNORED_KEYS = ("logger", *PER_RUN_KEYS)  # where results go makes no other configuration


@dataclass(frozen=True)
class RankedConfig:
    """A configuration and how its seeds came out.

    Attributes:
        label: what tells it from the others, such as ``workers=4 optimizer.lr=0.0003``.
        values: all that differs between configurations: ``(name, value)`` each.
        summaries: its runs that have the number which decides.
        results: theirs, in the same order.
    """

    label: str
    values: tuple[tuple[str, str], ...]
    summaries: tuple[RunSummary, ...]
    results: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.results)

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one."""
        return statistics.stdev(self.results) if len(self.results) > 1 else float("nan")


def rank_configs(summaries: Sequence[RunSummary], key: str, minimize: bool = False) -> list[RankedConfig]:
    """Runs that differ in nothing but the seed, together, the best mean first."""
    leaves = {entry: {name: text for name, text in entry.config_items() if not _is_ignored(name)} for entry in summaries}
    names = sorted({name for values in leaves.values() for name in values}, key=natural_sort_key)
    differing = [name for name in names if len({values.get(name) for values in leaves.values()}) > 1]
    groups: dict[tuple[tuple[str, str], ...], list[RunSummary]] = {}
    for entry, values in leaves.items():
        if entry.value(key) is not MISSING and number(entry.value(key)) == number(entry.value(key)):
            groups.setdefault(tuple((name, values.get(name, "(none)")) for name in differing), []).append(entry)
    typed = {text.lstrip("+~").partition("=")[0] for entry in summaries for text in entry.overrides}
    telling = distinguishing_keys(list(groups), typed)
    found = [
        RankedConfig(_label(values, telling), values, tuple(some), tuple(number(entry.value(key)) for entry in some))
        for values, some in groups.items()
    ]
    return sorted(found, key=lambda one: one.mean, reverse=not minimize)


def ranking_table(ranked: Sequence[RankedConfig], key: str, terminal: Terminal) -> str:
    """A line a configuration: mean and standard deviation over its runs, the worst and the best of them."""
    columns = [Column("configuration"), Column("runs", True), Column(f"{key}, mean", True), Column("from", True, 2),
               Column("to", True, 2)]  # fmt: skip
    rows = []
    for one in ranked:
        ends = (format_number(edge(one.results), max(one.results) - min(one.results)) for edge in (min, max))
        cells = [str(len(one.summaries)), format_mean_std(one.mean, one.std), *ends]
        rows.append(
            [
                TextCell(one.label),
                *(TextCell(text, "bold" if i == 1 else "") for i, text in enumerate(cells)),
            ]
        )
    return format_table(columns, rows, terminal)


def ranking_csv(ranked: Sequence[RankedConfig], key: str) -> str:
    """The same as CSV, numbers in full, a column each for what tells configurations apart."""
    names = [name for name, _ in ranked[0].values] if ranked else []
    head = ["runs", f"{key}_mean", f"{key}_std", f"{key}_min", f"{key}_max", *(f"config.{name}" for name in names)]
    rows = []
    for one in ranked:
        figures = [one.mean, one.std, min(one.results), max(one.results)]
        rows.append([str(len(one.summaries)), *("" if x != x else repr(x) for x in figures), *(text for _, text in one.values)])
    return csv_text([head, *rows])


def _label(values: tuple[tuple[str, str], ...], shown_keys: set[str]) -> str:
    shown = ((name.removesuffix("._target_"), value, name) for name, value in values if name in shown_keys)
    texts = [f"{name}={value.rpartition('.')[2] if name != full else value}" for name, value, full in shown]
    return " ".join(texts) or "the only configuration"


def _is_ignored(name: str) -> bool:
    return name in _IGNORED_KEYS or name.partition(".")[0] in _IGNORED_KEYS
