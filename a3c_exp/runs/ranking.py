"""Which runs, and which configurations over their seeds, came out best. No numpy here."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.runs.config_values import MISSING, SAME_EXPERIMENT, telling_apart
from a3c_exp.runs.discovery import natural
from a3c_exp.runs.format_table import Column, Terminal, Word, sheet
from a3c_exp.runs.listing import csv_text
from a3c_exp.runs.run_summary import Entry
from a3c_exp.runs.tolerant_io import number
from a3c_exp.system.number_format import MINUS, plus_minus, rounded

_PER_DIRECTORY = ("logger", *SAME_EXPERIMENT)  # where results go makes no other configuration


@dataclass(frozen=True)
class Standing:
    """A configuration and how its seeds came out.

    Attributes:
        label: what tells it from the others, such as ``workers=4 optimizer.lr=0.0003``.
        values: all that differs between configurations: ``(name, value)`` each.
        entries: its runs that have the number which decides.
        numbers: theirs, in the same order.
    """

    label: str
    values: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]
    numbers: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.numbers)

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one."""
        return statistics.stdev(self.numbers) if len(self.numbers) > 1 else float("nan")


def standings(entries: Sequence[Entry], key: str, lowest: bool = False) -> list[Standing]:
    """Runs that differ in nothing but the seed, together, the best mean first."""
    leaves = {entry: {name: text for name, text in entry.leaves() if not _ignored(name)} for entry in entries}
    names = sorted({name for values in leaves.values() for name in values}, key=natural)
    differing = [name for name in names if len({values.get(name) for values in leaves.values()}) > 1]
    groups: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry, values in leaves.items():
        if entry.value(key) is not MISSING and number(entry.value(key)) == number(entry.value(key)):
            groups.setdefault(tuple((name, values.get(name, "(none)")) for name in differing), []).append(entry)
    typed = {text.lstrip("+~").partition("=")[0] for entry in entries for text in entry.overrides}
    telling = telling_apart(list(groups), typed)
    found = [
        Standing(_label(values, telling), values, tuple(some), tuple(number(entry.value(key)) for entry in some))
        for values, some in groups.items()
    ]
    return sorted(found, key=lambda one: one.mean, reverse=not lowest)


def standings_table(found: Sequence[Standing], key: str, terminal: Terminal) -> str:
    """A line a configuration: mean and standard deviation over its runs, the worst and the best of them."""
    columns = [Column("configuration"), Column("runs", True), Column(f"{key}, mean", True), Column("from", True, 2),
               Column("to", True, 2)]  # fmt: skip
    rows = []
    for one in found:
        ends = (rounded(edge(one.numbers), max(one.numbers) - min(one.numbers)) for edge in (min, max))
        cells = [str(len(one.entries)), plus_minus(one.mean, one.std), *ends]
        rows.append(
            [Word(one.label), *(Word(text.replace(MINUS, "-"), "bold" if i == 1 else "") for i, text in enumerate(cells))]
        )
    return sheet(columns, rows, terminal)


def standings_csv(found: Sequence[Standing], key: str) -> str:
    """The same as CSV, numbers in full, a column each for what tells configurations apart."""
    names = [name for name, _ in found[0].values] if found else []
    head = ["runs", f"{key}_mean", f"{key}_std", f"{key}_min", f"{key}_max", *(f"config.{name}" for name in names)]
    rows = []
    for one in found:
        figures = [one.mean, one.std, min(one.numbers), max(one.numbers)]
        rows.append([str(len(one.entries)), *("" if x != x else repr(x) for x in figures), *(text for _, text in one.values)])
    return csv_text([head, *rows])


def _label(values: tuple[tuple[str, str], ...], telling: set[str]) -> str:
    shown = ((name.removesuffix("._target_"), value, name) for name, value in values if name in telling)
    texts = [f"{name}={value.rpartition('.')[2] if name != full else value}" for name, value, full in shown]
    return " ".join(texts) or "the only configuration"


def _ignored(name: str) -> bool:
    return name in _PER_DIRECTORY or name.partition(".")[0] in _PER_DIRECTORY
