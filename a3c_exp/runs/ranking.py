"""Configurations ranked by their results over seeds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.runs.config_values import MISSING, PER_RUN_KEYS, distinguishing_keys
from a3c_exp.runs.format_table import Column, Terminal, TextCell, format_table
from a3c_exp.runs.listing import csv_text, differing_keys
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.tolerant_io import number
from a3c_exp.system.number_format import format_mean_std, format_number

_IGNORED_KEYS = ("logger", *PER_RUN_KEYS)  # where results go is no difference between configurations


@dataclass(frozen=True)
class RankedConfig:
    """A configuration and the results of its runs.

    Attributes:
        label: what distinguishes it from the others, such as ``workers=4 optimizer.lr=0.0003``.
        values: ``(name, value)`` of every key in which configurations differ.
        results: a number of each run.
    """

    label: str
    values: tuple[tuple[str, str], ...]
    results: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.results)

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one."""
        return statistics.stdev(self.results) if len(self.results) > 1 else math.nan


def rank_configs(runs: Sequence[RunSummary], key: str, minimize: bool = False) -> list[RankedConfig]:
    """Configurations over the runs that differ in nothing but the seed, the best mean first."""
    configs = [{name: text for name, text in run.config_items() if not _is_ignored(name)} for run in runs]
    differing = differing_keys(configs)
    groups: dict[tuple[tuple[str, str], ...], list[RunSummary]] = {}
    for run, config in zip(runs, configs, strict=True):
        if run.value(key) is not MISSING and not math.isnan(number(run.value(key))):
            groups.setdefault(tuple((name, config.get(name, "(none)")) for name in differing), []).append(run)
    typed = {text.lstrip("+~").partition("=")[0] for run in runs for text in run.overrides}
    shown_keys = distinguishing_keys(list(groups), typed)
    ranked = [
        RankedConfig(_label(values, shown_keys), values, tuple(number(run.value(key)) for run in group))
        for values, group in groups.items()
    ]
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
        numbers = [config.mean, config.std, min(config.results), max(config.results)]
        texts = ["" if math.isnan(value) else repr(value) for value in numbers]
        rows.append([str(len(config.results)), *texts, *(text for _, text in config.values)])
    return csv_text(rows)


def _label(values: tuple[tuple[str, str], ...], shown_keys: set[str]) -> str:
    """Such as ``workers=4 optimizer=Adam``: of classes the names alone."""
    texts = []
    for name, value in values:
        if name in shown_keys:
            short = name.removesuffix("._target_")
            texts.append(f"{short}={value if short == name else value.rpartition('.')[2]}")
    return " ".join(texts) or "the only configuration"


def _is_ignored(name: str) -> bool:
    return name in _IGNORED_KEYS or name.partition(".")[0] in _IGNORED_KEYS
