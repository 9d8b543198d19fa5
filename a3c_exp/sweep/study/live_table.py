"""What a person sees of a study that runs: a live table on a terminal, else a line whenever a trial begins or ends."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from optuna.trial import FrozenTrial, TrialState

from a3c_exp.loggers.console import start_live_view
from a3c_exp.loggers.progress import format_duration
from a3c_exp.sweep.study.study_snapshot import (
    STATE_NAMES,
    StudySnapshot,
    end_reason,
    ended_line,
    format_elapsed,
    format_params,
    format_value,
    parameter_names,
    status_line,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.table import Table

_MAX_WIDTH = 120
_MAX_ROWS = 6
_COLORS = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "blue", "waiting": "dim"}


class StudyTable:
    """Shows a study; whoever runs it calls ``update`` now and then.

    Args:
        stream: where to write; standard error unless given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._snapshot: StudySnapshot | None = None
        self._started_trials: set[int] = set()
        self._ended_trials: set[int] = set()

    def start(self, snapshot: StudySnapshot) -> None:
        self._snapshot = snapshot
        self._ended_trials = {trial.number for trial in snapshot.trials if trial.state.is_finished()}
        self._started_trials = {trial.number for trial in snapshot.trials}
        self._live = start_live_view(lambda: self, self._stream)

    def update(self, snapshot: StudySnapshot) -> None:
        """Take notice of the study as it is now."""
        self._snapshot = snapshot
        over = [trial for trial in snapshot.trials if trial.state.is_finished() and trial.number not in self._ended_trials]
        for trial in snapshot.trials:
            if trial.number not in self._started_trials and trial.params and trial.state is not TrialState.WAITING:
                self._started_trials.add(trial.number)
                if self._live is None:
                    self.print_line(f"trial {trial.number} begins: {format_params(trial)}")
        for trial in over:
            self._ended_trials.add(trial.number)
            if self._live is None:
                self.print_line(ended_line(snapshot, trial))
        if over and self._live is None:
            self.print_line(status_line(snapshot))

    def print_line(self, text: str) -> None:
        """A line above the table."""
        with suppress(OSError, ValueError):
            if self._live is not None:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError, ValueError):
                live.stop()

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        view = self._snapshot
        if view is None:
            return
        width = min(options.max_width, _MAX_WIDTH)
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(ratio=1)
        head.add_column(justify="right", no_wrap=True)
        head.add_row(ProgressBar(total=view.n_trials, completed=len(view.ended)), _format_remaining(view))
        counts = Table.grid(expand=True)
        counts.add_column(no_wrap=True, overflow="ellipsis")
        counts.add_column(justify="right", no_wrap=True, style="dim")
        goal = ", ".join(f"{objective.direction} {objective.name}" for objective in view.objectives)
        counts.add_row(view.format_counts(), goal if width > 100 else "")
        rows = [*_best_rows(view), *[(trial, "") for trial in view.running], *_ended_rows(view)]
        title = Text.assemble(("study ", "dim"), (view.name, "bold"))
        body = Group(head, counts, "", _trial_table(rows, width - 4))
        yield Panel(body, title=title, title_align="left", border_style="dim", width=width)


def _format_remaining(snapshot: StudySnapshot) -> str:
    return "" if snapshot.remaining_seconds is None else f"{format_duration(snapshot.remaining_seconds)} left"


def _best_rows(snapshot: StudySnapshot) -> list[tuple[FrozenTrial, str]]:
    return [(trial, "best") for trial in snapshot.best[:_MAX_ROWS]]


def _ended_rows(snapshot: StudySnapshot) -> list[tuple[FrozenTrial, str]]:
    best = {trial.number for trial in snapshot.best}
    return [(trial, "") for trial in reversed(snapshot.ended[-_MAX_ROWS:]) if trial.number not in best]


def _trial_table(rows: Sequence[tuple[FrozenTrial, str]], width: int) -> "Table":
    """Best, running and latest trials, as many parameters as find room."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    names = ["", "trial", "state", "value", "time"]
    for name in names:
        table.add_column(no_wrap=True, justify="right" if name in ("trial", "value", "time") else "left")
    values = max([12, *(len(format_value(trial)) for trial, _ in rows)])
    room = width - (4 + 5 + 8 + values + 7 + 10)
    shown: list[str] = []
    for name in parameter_names([trial for trial, _ in rows]):
        last = name.rpartition(".")[2]
        room -= max(len(last), 9) + 2
        if room < 0:
            break
        shown.append(name)
        table.add_column(no_wrap=True, justify="right")
    table.add_row(*(Text(name.rpartition(".")[2], style="dim") for name in [*names, *shown]))
    for trial, mark in rows:
        state = STATE_NAMES[trial.state]
        cells = [Text(mark, style="bold"), Text(str(trial.number)), Text(state, style=_COLORS[state])]
        cells += [
            Text(format_value(trial), style="bold" if mark else "" if trial.state is TrialState.COMPLETE else "dim"),
            Text(format_elapsed(trial), style="dim"),
        ]
        if trial.state is TrialState.FAIL:
            table.add_row(*cells, *(Text("") for _ in shown))
            continue
        cells += [Text(_format_cell(trial.params.get(name))) for name in shown]
        table.add_row(*cells)
    failed = [trial for trial, _ in rows if trial.state is TrialState.FAIL]
    if not failed:
        return table
    outer = Table.grid()
    outer.add_column(overflow="ellipsis", no_wrap=True)
    outer.add_row(table)
    for trial in failed[:2]:
        outer.add_row(Text(f"trial {trial.number} failed: {end_reason(trial)}", style="red", overflow="ellipsis"))
    return outer


def _format_cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
