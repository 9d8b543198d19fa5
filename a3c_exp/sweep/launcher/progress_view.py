"""How a sweep's jobs look on a terminal: each as it would look alone while there is room for it, else a line for each."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from a3c_exp.loggers.console import WIDEST, RunView
from a3c_exp.loggers.progress import clock, evaluations, figure, percent
from a3c_exp.sweep.launcher.job_state import Entry

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from a3c_exp.sweep.launcher.sweep_progress import Board

_HEAD_LINES = 4
_COLOURS = {"finished": "green", "failed": "red", "interrupted": "yellow"}
_MARKS = {"finished": "✓", "failed": "✗", "interrupted": "■"}


class BoardView:
    """Drawn anew at each refresh, from whatever the board knows by then."""

    def __init__(self, board: "Board") -> None:
        self._board = board

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        board = self._board
        width = min(options.max_width, WIDEST)
        yield self._head(width)
        running = list(board.running)
        started = [entry for entry in running if entry.progress]
        if len(started) * RunView.HEIGHT + len(running) - len(started) + _HEAD_LINES > options.size.height:
            yield _lines(running, width)
            return
        for entry in running:
            if entry.progress:
                yield RunView(entry.progress, title=entry.name)
            else:
                yield Text.assemble(("  " + entry.name, "bold"), ("  starting", "dim"))

    def _head(self, width: int) -> Group:
        board = self._board
        state = Text("  stopping: each run saves a checkpoint", style="yellow") if board.asked_to_stop else Text()
        names = _line(width, Text.assemble((board.sweep.name, "bold"), state), f"{board.counts} · {board.times}")
        return Group(names, _line(width, ProgressBar(total=1.0, completed=board.fraction), percent(board.fraction)))


def _line(width: int, left: "RenderableType", right: str) -> Table:
    line = Table.grid(padding=(0, 1))
    line.width = width
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True, style="dim")
    line.add_row(left, right)
    return line


def _lines(running: list[Entry], width: int) -> Table:
    """A line for each job: name, bar, and the figures that there is room for."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.width = width
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(width=16)
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    titles = ("", "", "", "steps/s", "evaluation", "left")
    table.add_row(*(Text(title, style="dim") for title in titles))
    for entry in running:
        progress = entry.progress
        if progress is None:
            table.add_row(Text(entry.name, style="bold"), Text("starting", style="dim"), "", "", "", "")
            continue
        fraction, speed, left = progress.fraction or 0.0, progress.steps_per_second, progress.left
        table.add_row(
            Text(entry.name, style="bold"),
            ProgressBar(total=1.0, completed=fraction, width=16),
            percent(fraction),
            "-" if speed is None else f"{speed:,.0f}",
            evaluations(progress) if progress.last_evaluation else _average(progress.moving_average),
            "-" if left is None else clock(left),
        )
    return table


def _average(value: float | None) -> str:
    return "-" if value is None else f"mean {figure(value)}"


def said(entry: Entry, line: str) -> Text:
    """A line that a job has to say."""
    return Text.assemble((entry.name, "cyan"), "  ", line)


def last_word(entry: Entry) -> Text:
    """How a job ended."""
    kind = "interrupted" if entry.status == "interrupted" else "failed" if entry.failed is not None else "finished"
    colour = _COLOURS[kind]
    _, _, rest = entry.last_word.partition(": ")
    style = "red" if kind == "failed" else ""
    return Text.assemble((f"{_MARKS[kind]} {entry.name}", f"bold {colour}"), "  ", (rest or kind, style))
