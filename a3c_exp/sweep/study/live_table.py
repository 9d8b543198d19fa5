"""What a person sees of a running study: a table on a terminal, else a line whenever a trial begins or ends."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from optuna.trial import FrozenTrial, TrialState

from a3c_exp.loggers.live_view import LiveView
from a3c_exp.sweep.study.study_snapshot import (
    STATE_NAMES,
    StudySnapshot,
    end_reason,
    ended_line,
    format_elapsed,
    format_parameter,
    format_params,
    format_value,
    parameter_names,
    status_line,
)
from a3c_exp.system.number_format import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_MAX_ROWS = 6
_MAX_FAILURES = 2
_COLORS = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "blue", "waiting": "dim"}


class StudyTable:
    """Shows a study; ``update`` it with each new snapshot.

    Args:
        stream: where to write; standard error unless given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._view = LiveView(self._render, stream=stream)
        self._snapshot: StudySnapshot | None = None
        self._started_trials: set[int] = set()
        self._ended_trials: set[int] = set()

    def start(self, snapshot: StudySnapshot) -> None:
        self._snapshot = snapshot
        self._ended_trials = {trial.number for trial in snapshot.trials if trial.state.is_finished()}
        self._started_trials = {trial.number for trial in snapshot.trials}
        self._view.start()

    def update(self, snapshot: StudySnapshot) -> None:
        """Show the study as it is now."""
        self._snapshot = snapshot
        ended = [trial for trial in snapshot.trials if trial.state.is_finished() and trial.number not in self._ended_trials]
        started = [
            trial
            for trial in snapshot.trials
            if trial.number not in self._started_trials and trial.params and trial.state is not TrialState.WAITING
        ]
        self._ended_trials |= {trial.number for trial in ended}
        self._started_trials |= {trial.number for trial in started}
        if self._view.is_drawn:
            return
        lines = [f"trial {trial.number} begins: {format_params(trial)}" for trial in started]
        lines += [ended_line(trial) for trial in ended]
        for line in [*lines, *([status_line(snapshot)] if ended else [])]:
            self.print_line(line)

    def print_line(self, text: str) -> None:
        """A line above the table."""
        self._view.print(text)

    def close(self) -> None:
        self._view.close()

    def _render(self, width: int, height: int) -> "RenderableType":
        from rich.text import Text

        from a3c_exp.loggers.panels import fitting_columns, left_and_right, progress_row, titled_panel

        snapshot = self._snapshot
        if snapshot is None:
            return ""
        remaining = snapshot.remaining_seconds
        goal = ", ".join(f"{objective.direction} {objective.name}" for objective in snapshot.objectives)
        best = {trial.number for trial in snapshot.best[:_MAX_ROWS]}
        ended = [trial for trial in reversed(snapshot.ended[-_MAX_ROWS:]) if trial.number not in best]
        trials = [*snapshot.best[:_MAX_ROWS], *snapshot.running, *ended]
        failed = [trial for trial in ended if trial.state is TrialState.FAIL][:_MAX_FAILURES]
        return titled_panel(
            Text.assemble(("study ", "dim"), (snapshot.name, "bold")),
            progress_row(
                len(snapshot.ended) / snapshot.n_trials, "" if remaining is None else f"{format_duration(remaining)} left"
            ),
            left_and_right(snapshot.format_counts(), goal if width > 100 else ""),
            "",
            fitting_columns(_trial_columns(trials, best), width - 4, right_aligned=(1, 3, *range(4, 100))),
            *(
                Text(f"trial {trial.number} failed: {end_reason(trial)}", "red", overflow="ellipsis", no_wrap=True)
                for trial in failed
            ),
        )


def _trial_columns(trials: Sequence[FrozenTrial], best: set[int]) -> "list[list[Text]]":
    """A column with its heading for each fact about the trials, and then for each parameter."""
    from rich.text import Text

    def value_style(trial: FrozenTrial) -> str:
        return "bold" if trial.number in best else "" if trial.state is TrialState.COMPLETE else "dim"

    def parameter(trial: FrozenTrial, name: str) -> str:
        return "" if trial.state is TrialState.FAIL else format_parameter(trial.params.get(name, "-"))

    states = [STATE_NAMES[trial.state] for trial in trials]
    columns = [
        ("", [Text("best" if trial.number in best else "", "bold") for trial in trials]),
        ("trial", [Text(str(trial.number)) for trial in trials]),
        ("state", [Text(state, _COLORS[state]) for state in states]),
        ("value", [Text(format_value(trial), value_style(trial)) for trial in trials]),
        ("time", [Text(format_elapsed(trial), "dim") for trial in trials]),
    ]
    columns += [
        (name.rpartition(".")[2], [Text(parameter(trial, name)) for trial in trials]) for name in parameter_names(trials)
    ]
    return [[Text(heading, "dim"), *cells] for heading, cells in columns]
