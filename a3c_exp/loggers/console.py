"""What a person sees while a run trains: a live view on a terminal, else a plain line now and then. All on stderr."""

import atexit
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from a3c_exp.loggers.base import NullLogger, RunInfo
from a3c_exp.loggers.progress import (
    RunProgress,
    format_counts,
    format_entropy,
    format_evaluations,
    format_number,
    format_percent,
    format_times,
    progress_line,
    summary_rows,
)
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
    from rich.live import Live
    from rich.table import Table

REFRESH_PER_SECOND = 2  # each drawing costs some milliseconds of the process that also trains
MAX_WIDTH = 100


class ConsoleLogger(NullLogger):
    """Shows progress, speed and the figures that tell whether training works.

    On a terminal, with ``rich`` installed, that is one panel that stays at the bottom while messages scroll by above
    it, and gives way to a summary at the end. Anywhere else (a file, a pipe, a job's log) it is one line every
    ``interval`` seconds, the first at the first event.

    Args:
        interval: seconds between plain lines.
        stream: where to write; standard error unless given.
    """

    def __init__(self, interval: float = 10.0, stream: TextIO | None = None) -> None:
        self._interval = interval
        self._stream_override = stream
        self._progress: RunProgress | None = None
        self._live: Live | None = None
        self._next_line_time = 0.0

    def start(self, run: RunInfo) -> None:
        self._progress = RunProgress(run)
        self._next_line_time = 0.0
        if run.resumed:
            self._write(f"{run.name} goes on from episode {run.start_episode:,}, {run.start_env_step:,} steps")
        progress = self._progress
        self._live = start_live_view(lambda: RunView(progress), self._stream)
        if self._live:
            # An exception that reaches nobody who calls finish() would else leave a terminal without a cursor.
            atexit.register(self._close)

    def episode(self, episode: EpisodeRecord) -> None:
        if self._progress:
            self._progress.episode(episode)
            self._write_line_if_due(self._progress)

    def metrics(self, metrics: MetricsRecord) -> None:
        if self._progress:
            self._progress.metrics(metrics)
            self._write_line_if_due(self._progress)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        if self._progress:
            self._progress.evaluation(evaluation)
            self._write_line_if_due(self._progress)

    def message(self, text: str) -> None:
        if self._live:
            with suppress(OSError, ValueError):
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._write(text)

    def finish(self, status: Status, summary: JsonObject) -> None:
        """Close the view and say how it went: the last word, also when an exception passes by."""
        was_live = self._close()
        progress, self._progress = self._progress, None
        if progress is None:
            return
        rows = summary_rows(progress, status, summary)
        if was_live:
            with suppress(OSError, ValueError):
                was_live.console.print(_summary_table(progress.run.name, rows, status))
        else:
            width = max(len(name) for name, _ in rows)
            self._write("\n".join([progress.run.name, *(f"  {name:<{width}}  {value}" for name, value in rows)]))

    @property
    def _stream(self) -> TextIO:
        return self._stream_override or sys.stderr

    def _write_line_if_due(self, progress: RunProgress) -> None:
        now = time.monotonic()
        if self._live is None and now >= self._next_line_time:
            self._next_line_time = now + self._interval
            self._write(progress_line(progress))

    def _write(self, text: str) -> None:
        # A reader that went away (a closed pipe or terminal) is no reason to stop: the run directory has it all.
        with suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def _close(self) -> "Live | None":
        live, self._live = self._live, None
        if live:
            atexit.unregister(self._close)
            with suppress(OSError, ValueError):
                live.stop()
        return live


def start_live_view(make_view: "Callable[[], RenderableType]", stream: TextIO) -> "Live | None":
    """A started live view, or ``None`` where there is no terminal, or none that can move its cursor, or no rich.

    Args:
        make_view: makes what is drawn anew at each refresh; called once, and only where there will be a view.
        stream: where to draw.
    """
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    console = Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    started = Live(
        make_view(),
        console=console,
        refresh_per_second=REFRESH_PER_SECOND,
        transient=True,
        # rich would move what is printed to stdout over to stderr, even if stdout is piped into something.
        redirect_stdout=sys.stdout.isatty(),
    )
    started.start(refresh=True)
    return started


class RunView:
    """Drawn anew at each refresh, from whatever the progress is by then.

    Args:
        progress: of the run.
        title: ``None`` names the run, and the sweep that it belongs to.
    """

    HEIGHT = 9
    """Lines that it takes."""

    def __init__(self, progress: RunProgress, title: str | None = None) -> None:
        self._progress = progress
        self._title = title

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.panel import Panel
        from rich.text import Text

        run = self._progress.run
        width = min(options.max_width, MAX_WIDTH)
        title = Text(self._title or run.name, style="bold")
        if run.group and self._title is None:
            title = Text.assemble((f"{run.group} / ", "dim"), title)
        if self._progress.num_seeds > 1:
            title = Text.assemble((f"mean of {self._progress.num_seeds} seeds · ", "dim"), title)
        title.truncate(max(width - 6, 1), overflow="ellipsis")
        yield Panel(self._content(width - 4), title=title, title_align="left", border_style="dim", width=width)

    def _content(self, width: int) -> "Group":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        progress = self._progress
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(ratio=1)
        head.add_column(justify="right", no_wrap=True)
        if progress.fraction is not None:
            head.add_row(ProgressBar(total=1.0, completed=progress.fraction), format_percent(progress.fraction))
        counts = Table.grid(expand=True)
        counts.add_column(no_wrap=True, overflow="ellipsis")
        counts.add_column(justify="right", no_wrap=True, style="dim")
        counts.add_row(" · ".join(format_counts(progress)), format_times(progress))
        return Group(head, counts, "", _metrics_table(self._results(), width), _metrics_table(self._diagnostics(), width))

    def _results(self) -> list[tuple[str, str]]:
        progress, metrics = self._progress, self._progress.last_metrics
        average, speed = progress.moving_average, progress.steps_per_second
        return [
            ("moving average", "-" if average is None else format_number(average)),
            ("steps/s in all" if progress.num_seeds > 1 else "steps/s", "-" if speed is None else f"{speed:,.0f}"),
            ("return", "-" if metrics is None or metrics.recent_return is None else format_number(metrics.recent_return)),
            ("evaluation", format_evaluations(progress)),
            ("lag (max)", f"{metrics.policy_lag_mean:.1f} ({metrics.policy_lag_max})" if metrics else "-"),
        ]

    def _diagnostics(self) -> list[tuple[str, str]]:
        metrics = self._progress.last_metrics
        if metrics is None:
            return [("entropy", "-")]  # a line that is there from the start does not make the view jump
        known = [
            ("max probability", metrics.max_probability),
            ("explained variance", metrics.explained_variance),
            ("gradient norm", metrics.grad_norm),
            ("clipped to", _unless_close(metrics.grad_norm_clipped, metrics.grad_norm)),
        ]
        return [format_entropy(metrics), *((name, format_number(value)) for name, value in known if value is not None)]


def _metrics_table(columns: Sequence[tuple[str, str]], width: int) -> "Table":
    """Names over values, the most telling first; those that find no room stay away."""
    from rich.table import Table

    table = Table.grid(padding=(0, 3, 0, 0))
    shown: list[tuple[str, str]] = []
    for name, value in columns:
        width -= max(len(name), len(value)) + 3
        if width < -3 and shown:
            break
        shown.append((name, value))
        table.add_column(no_wrap=True)
    table.add_row(*(f"[dim]{name}[/dim]" for name, _ in shown))
    table.add_row(*(f"[bold]{value}[/bold]" for _, value in shown))
    return table


def _unless_close(value: float | None, reference: float) -> float | None:
    """``value``, unless it says the same."""
    return None if value is None or math.isclose(value, reference, rel_tol=1e-3) else value


def _summary_table(name: str, rows: list[tuple[str, str]], status: Status) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(name, style="bold not dim", overflow="ellipsis"), "")
    colour = {"finished": "green", "failed": "red"}.get(status, "yellow")
    for label, value in rows:
        table.add_row(f"  {label}", Text(value, style=colour if label == "status" else ""))
    return table
