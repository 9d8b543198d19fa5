"""Tables of text: aligned, in color, no wider than the terminal; a thousand runs in 20 ms, for which rich takes 1.5 seconds."""

import os
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from a3c_exp.runs.tolerant_io import printable

_ANSI_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_GAP = 2
_MIN_FIRST_WIDTH = 24


@dataclass(frozen=True)
class Terminal:
    """What the output can show."""

    width: int = 0  # columns; 0 for any number, where the output goes to a file or into a pipe
    color: bool = False  # whether escape sequences are wanted
    unicode: bool = False  # whether it can show more than ASCII, such as bars

    @classmethod
    def from_stream(cls, stream: TextIO) -> "Terminal":
        """The terminal behind ``stream``; respects NO_COLOR (no-color.org) and TERM=dumb."""
        if not stream.isatty():
            return cls()
        no_color = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        unicode = "utf" in (stream.encoding or "").lower()
        return cls(max(shutil.get_terminal_size((100, 24)).columns, 40), not no_color, unicode)

    def paint(self, text: str, style: str) -> str:
        """``text`` in a style such as ``bold`` or ``bold green``; unchanged for an empty style or without color."""
        if not (self.color and style and text):
            return text
        return f"\x1b[{';'.join(_ANSI_CODES[word] for word in style.split())}m{text}\x1b[0m"


class TextCell(NamedTuple):
    text: str
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str  # in the first line
    align_right: bool = False  # as numbers are
    drop_rank: int = 0  # where there is no room, columns of the highest rank are dropped first; 0 never is


Row = Sequence[TextCell] | TextCell  # cells; or a heading across all columns


def format_table(columns: Sequence[Column], rows: Sequence[Row], terminal: Terminal) -> str:
    """A table as text. Where it is wider than the terminal, columns are dropped by rank, then the first is shortened."""
    header: Row = [TextCell(column.title, "dim") for column in columns]
    lines: list[Row] = [
        row if isinstance(row, TextCell) else [TextCell(printable(text), style) for text, style in row]
        for row in [header, *rows]
    ]
    cell_widths = [[display_width(text) for text, _ in line] for line in lines if not isinstance(line, TextCell)]
    widths = list(map(max, zip(*cell_widths, strict=True)))
    shown = _fit_columns(columns, widths, terminal.width)

    def format_line(cells: Row) -> str:
        if isinstance(cells, TextCell):
            heading = printable(cells.text)
            return terminal.paint(shorten_middle(heading, terminal.width or display_width(heading)), cells.style)
        texts = []
        for i in shown:
            text = cells[i].text if i else shorten_middle(cells[i].text, widths[i])
            space, painted = " " * (widths[i] - display_width(text)), terminal.paint(text, cells[i].style)
            texts.append(space + painted if columns[i].align_right else painted if i == shown[-1] else painted + space)
        return (" " * _GAP).join(texts).rstrip()

    return "\n".join(map(format_line, lines))


def _fit_columns(columns: Sequence[Column], widths: list[int], max_width: int) -> list[int]:
    """The indices of the columns that are shown; reduces the first of ``widths`` where that is not enough."""
    shown = list(range(len(columns)))

    def total() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1)

    shortest = min(widths[0], _MIN_FIRST_WIDTH)
    while max_width and total() - widths[0] + shortest > max_width and any(columns[i].drop_rank for i in shown):
        shown.remove(max(shown, key=lambda i: (columns[i].drop_rank, i)))
    if max_width and total() > max_width:
        widths[0] = max(widths[0] - (total() - max_width), 8)
    return shown


def display_width(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def shorten_middle(text: str, width: int) -> str:
    """``text`` within ``width`` columns, without its middle if it is longer: names of runs differ at both ends."""
    if display_width(text) <= width:
        return text
    left, right = (width - 1) - (width - 1) // 2, (width - 1) // 2
    return _prefix_of_width(text, left) + "\N{HORIZONTAL ELLIPSIS}" + _prefix_of_width(text[::-1], right)[::-1]


def _prefix_of_width(text: str, width: int) -> str:
    lengths = range(len(text), -1, -1)
    return next(text[:length] for length in lengths if display_width(text[:length]) <= width)
