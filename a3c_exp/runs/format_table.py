"""Tables for a terminal: aligned, coloured where colours are wanted, cut to its width. No numpy here."""

import os
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from a3c_exp.runs.tolerant_io import printable

_ANSI_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_GAP = 2


@dataclass(frozen=True)
class Terminal:
    """What the place that text goes to can show.

    Attributes:
        width: columns; 0 for as many as it takes, where the text goes to a file or into a pipe.
        color: whether escape sequences are wanted.
        unicode: whether it can show more than plain letters, such as bars.
    """

    width: int = 0
    color: bool = False
    unicode: bool = False

    @classmethod
    def from_stream(cls, stream: TextIO) -> "Terminal":
        """The terminal behind ``stream``; heeds NO_COLOR (no-color.org) and TERM=dumb."""
        if not stream.isatty():
            return cls()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        signs = "utf" in (stream.encoding or "").lower()
        return cls(max(shutil.get_terminal_size((100, 24)).columns, 40), not plain, signs)

    def paint(self, text: str, style: str) -> str:
        """``text`` in a style such as ``bold`` or ``bold green``; as it is for an empty style or without colours."""
        if not (self.color and style and text):
            return text
        return f"\x1b[{';'.join(_ANSI_CODES[word] for word in style.split())}m{text}\x1b[0m"


class TextCell(NamedTuple):
    """A cell: text and its style."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a sheet.

    Attributes:
        title: at its head.
        align_right: whether cells stand at the right edge, as numbers do.
        drop_rank: columns of the highest rank are left out first where there is no room; 0 never is.
    """

    title: str
    align_right: bool = False
    drop_rank: int = 0


Row = Sequence[TextCell] | TextCell  # a single word is a heading across all columns


def format_table(columns: Sequence[Column], rows: Sequence[Row], terminal: Terminal) -> str:
    """A table as text. Where it is wider than the terminal, columns are left out by rank, then the first is shortened."""
    cells = [[(printable(text), style) for text, style in row] for row in rows if not isinstance(row, TextCell)]
    taken = [[display_width(text) for text, _ in row] for row in cells]
    widths = [max([display_width(column.title), *(row[i] for row in taken)]) for i, column in enumerate(columns)]
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1)

    least = min(widths[0], 24)  # of the first column
    while terminal.width and needed() - widths[0] + least > terminal.width and any(columns[i].drop_rank for i in shown):
        shown.remove(max(shown, key=lambda i: (columns[i].drop_rank, i)))
    if terminal.width and needed() > terminal.width:
        widths[0] = max(widths[0] - (needed() - terminal.width), 8)

    places = [(i, widths[i], columns[i].align_right, i == shown[-1]) for i in shown]

    def line(row: Sequence[tuple[str, str]], taken: Sequence[int]) -> str:
        texts = []
        for i, width, right, last in places:
            text, style = row[i]
            space = " " * (width - taken[i])
            if taken[i] > width:
                text = shorten_middle(text, width)
                space = " " * (width - display_width(text))
            painted = terminal.paint(text, style)
            texts.append(space + painted if right else painted if last else painted + space)
        return (" " * _GAP).join(texts).rstrip()

    lines = [line([(column.title, "dim") for column in columns], [display_width(column.title) for column in columns])]
    following = zip(cells, taken, strict=True)
    for row in rows:
        if isinstance(row, TextCell):
            text = printable(row.text)
            lines.append(terminal.paint(shorten_middle(text, terminal.width or display_width(text)), row.style))
        else:
            lines.append(line(*next(following)))
    return "\n".join(lines)


def display_width(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def shorten_middle(text: str, width: int) -> str:
    """``text`` within ``width`` columns, its middle left out where it is longer: both ends tell runs apart."""
    if display_width(text) <= width:
        return text
    left, right = (width - 1) - (width - 1) // 2, (width - 1) // 2
    return _prefix_of_width(text, left) + "\N{HORIZONTAL ELLIPSIS}" + _prefix_of_width(text[::-1], right)[::-1]


def _prefix_of_width(text: str, width: int) -> str:
    taken = ""
    for char in text:
        if display_width(taken + char) > width:
            break
        taken += char
    return taken
