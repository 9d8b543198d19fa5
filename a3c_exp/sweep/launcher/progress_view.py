"""How a sweep's jobs look on a terminal: each as it would look alone while there is room for it, else a line for each."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from a3c_exp.loggers.console import MAX_WIDTH, RunView
from a3c_exp.loggers.progress import format_duration, format_evaluations, format_number, format_percent
from a3c_exp.sweep.launcher.job_state import JobState

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from a3c_exp.sweep.launcher.sweep_progress import SweepProgress

_HEADER_LINES = 4
_COLORS = {"finished": "green", "failed": "red", "interrupted": "yellow"}
_STATUS_SYMBOLS = {"finished": "✓", "failed": "✗", "interrupted": "■"}


class SweepProgressView:
    """Drawn anew at each refresh, from whatever the board knows by then."""

    def __init__(self, progress: "SweepProgress") -> None:
        self._progress = progress

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        board = self._progress
        width = min(options.max_width, MAX_WIDTH)
        yield self._header(width)
        running = list(board.running)
        started = [entry for entry in running if entry.progress]
        if len(started) * RunView.HEIGHT + len(running) - len(started) + _HEADER_LINES > options.size.height:
            yield _job_table(running, width)
            return
        for entry in running:
            if entry.progress:
                yield RunView(entry.progress, title=entry.name)
            else:
                yield Text.assemble(("  " + entry.name, "bold"), ("  starting", "dim"))

    def _header(self, width: int) -> Group:
        board = self._progress
        state = Text("  stopping: each run saves a checkpoint", style="yellow") if board.stop_requested else Text()
        names = _two_column_line(
            width, Text.assemble((board.directory.name, "bold"), state), f"{board.format_counts} · {board.format_times}"
        )
        return Group(
            names, _two_column_line(width, ProgressBar(total=1.0, completed=board.fraction), format_percent(board.fraction))
        )


def _two_column_line(width: int, left: "RenderableType", right: str) -> Table:
    line = Table.grid(padding=(0, 1))
    line.width = width
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True, style="dim")
    line.add_row(left, right)
    return line


def _job_table(running: list[JobState], width: int) -> Table:
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
        fraction, speed, left = progress.fraction or 0.0, progress.steps_per_second, progress.remaining_seconds
        table.add_row(
            Text(entry.name, style="bold"),
            ProgressBar(total=1.0, completed=fraction, width=16),
            format_percent(fraction),
            "-" if speed is None else f"{speed:,.0f}",
            format_evaluations(progress) if progress.last_evaluation else _format_average(progress.moving_average),
            "-" if left is None else format_duration(left),
        )
    return table


def _format_average(value: float | None) -> str:
    return "-" if value is None else f"mean {format_number(value)}"


def format_message(job: JobState, line: str) -> Text:
    """A line that a job has to say."""
    return Text.assemble((job.name, "cyan"), "  ", line)


def final_line(job: JobState) -> Text:
    """How a job ended."""
    kind = "interrupted" if job.status == "interrupted" else "failed" if job.failure_reason is not None else "finished"
    colour = _COLORS[kind]
    _, _, rest = job.final_line.partition(": ")
    style = "red" if kind == "failed" else ""
    return Text.assemble((f"{_STATUS_SYMBOLS[kind]} {job.name}", f"bold {colour}"), "  ", (rest or kind, style))
