"""What a report consists of: sections of verdicts, tables and figures, and what stands in the cells of a table."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from a3c_exp.report.aggregate import Configuration
from a3c_exp.report.figures.panels import CaptionedFigure
from a3c_exp.runs.listing import csv_text
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.system.number_format import NO_VALUE, Interval, format_count, format_interval, format_number

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: text, a smaller note after it, and the configuration whose color, or the status, that it shows."""

    text: str
    note: str = ""
    configuration: Configuration | None = None
    status: str = ""


@dataclass(frozen=True)
class Table:
    """Columns by name and rows of cells; the first ``num_text_columns`` columns are text, the others numbers."""

    name: str
    columns: tuple[str, ...]
    num_text_columns: int
    rows: tuple[tuple[Cell, ...], ...]


Description = Callable[[Item], Cell | str]  # what a column says of an item


@dataclass(frozen=True)
class Section:
    """A part of a report that says something of its own. It stands first on the page."""

    title: str  #: its heading
    lead: str  #: the result in words, a paragraph
    tables: tuple[Table, ...] = ()  #: those whose names begin with ``Verdicts`` stand before the figures, all others after them
    figures: tuple[CaptionedFigure, ...] = ()  #: figures of its own
    notes: tuple[str, ...] = ()  #: reasons for doubt, one sentence each


def make_row(*contents: Cell | str) -> tuple[Cell, ...]:
    """Cells, of which those that are nothing but text may be given as such."""
    return tuple(content if isinstance(content, Cell) else Cell(content) for content in contents)


def make_table(name: str, num_texts: int, items: Iterable[Item], columns: Sequence[tuple[str, Description[Item]]]) -> Table:
    """A row an item, and a column for each heading with what it says of an item; the first ``num_texts`` are text."""
    rows = tuple(make_row(*(describe(item) for _, describe in columns)) for item in items)
    return Table(name, tuple(heading for heading, _ in columns), num_texts, rows)


def interval_cell(value: float, interval: Interval, over: str = "") -> Cell:
    """A number, to the digits that its interval warrants, and the interval, with what it is over unless that is seeds."""
    low, high = interval
    return Cell(format_number(value, high - low), format_interval(interval) + (f" over {over}" if over == "episodes" else ""))


def lag_cell(mean: float, largest: float) -> Cell:
    """A mean policy lag and the largest."""
    return Cell(format_number(mean, 1.0), f"max {format_count(largest)}" if largest >= 0 else "")


def table_csv(table: Table) -> str:
    """Any table as CSV, as it stands on the page: rounded, notes in columns of their own, plain signs."""
    noted = [any(row[index].note for row in table.rows) for index in range(len(table.columns))]
    head = [text for name, extra in zip(table.columns, noted, strict=True) for text in (name, f"{name}: note")[: 1 + extra]]
    lines = [zip(row, noted, strict=True) for row in table.rows]
    rows = [[text for cell, extra in line for text in (cell.text, cell.note)[: 1 + extra]] for line in lines]
    return csv_text([head, *(["" if text == NO_VALUE else printable(text) for text in row] for row in rows)]) + "\n"


def format_statuses(statuses: Mapping[str, int]) -> str:
    """``3 finished, 1 failed``."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())
