"""A study at one moment, as numbers and as text, and the table that a person sees of a running one."""

import datetime
import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import zip_longest
from operator import ge
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import RenderableType
from rich.text import Text

from a3c_exp.loggers.live_view import LiveView
from a3c_exp.loggers.panels import fitting_columns, left_and_right, progress_row, titled_panel
from a3c_exp.runs.study_storage import REASON, SEED_STD
from a3c_exp.sweep.study.config import Objective, StudyConfig
from a3c_exp.sweep.trials.trial_queue import STATE_NAMES, num_remaining, retried_numbers
from a3c_exp.system.number_format import NO_VALUE, format_duration, format_mean_std, format_number

_MAX_ROWS = 6
_MAX_FAILURES = 2
_COLORS = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "blue", "waiting": "dim"}


@dataclass(frozen=True)
class StudySnapshot:
    """A study at one moment."""

    study_config: StudyConfig
    trials: Sequence[FrozenTrial]  # all there are, by number
    ended_before: Set[int]  # numbers of those that had ended when this session began

    @property
    def objectives(self) -> Sequence[Objective]:
        return self.study_config.objectives

    @property
    def goal(self) -> str:
        return ", ".join(f"{objective.direction} {objective.name}" for objective in self.objectives)

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that have ended, without those that are retried; the one that ended last comes last."""
        retried = retried_numbers(self.trials)
        ended = [trial for trial in self.trials if trial.state.is_finished() and trial.number not in retried]
        return sorted(ended, key=lambda trial: (trial.datetime_complete or datetime.datetime.min, trial.number))

    @property
    def running(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state is TrialState.RUNNING]

    @property
    def best(self) -> list[FrozenTrial]:
        """The best complete trial; with several objectives the Pareto front. Empty without a complete trial."""
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        signs = [-1.0 if objective.direction == "minimize" else 1.0 for objective in self.objectives]
        if len(signs) == 1 and complete:
            return [max(complete, key=lambda trial: signs[0] * (trial.value or 0.0))]
        table = [
            [sign * value for sign, value in zip(signs, trial.values, strict=True)] for trial in complete
        ]  # larger is better
        beaten = [any(other != own and all(map(ge, other, own)) for other in table) for own in table]
        return [trial for trial, is_beaten in zip(complete, beaten, strict=True) if not is_beaten]

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds that remain if trials take as long as those of this session did; ``None`` before one has ended."""
        durations = [_duration_seconds(trial) for trial in self.ended if trial.number not in self.ended_before]
        if not durations:
            return None
        mean = sum(durations) / len(durations)
        running = sum(max(0.0, mean - _duration_seconds(trial)) for trial in self.running)
        return (mean * num_remaining(self.trials, self.study_config.n_trials) + running) / self.study_config.n_jobs

    def format_counts(self) -> str:
        """``12 of 60 trials: 7 complete, 4 pruned, 1 failed; 2 running``"""
        ended = [trial.state for trial in self.ended]
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        counts = ", ".join(f"{ended.count(state)} {STATE_NAMES[state]}" for state in states if state in ended)
        running = f"; {len(self.running)} running" if self.running else ""
        return f"{len(ended)} of {self.study_config.n_trials} trials" + (f": {counts}" if counts else "") + running


class StudyTable(LiveView):
    """Shows a running study: a table on a terminal, else a line whenever a trial begins or ends."""

    def __init__(self, snapshot: StudySnapshot) -> None:
        super().__init__(self._panel)
        self._snapshot = snapshot
        self._started_trials = {trial.number for trial in snapshot.trials}
        self._ended_trials = {trial.number for trial in snapshot.trials if trial.state.is_finished()}

    def update(self, snapshot: StudySnapshot) -> None:
        """Show the study as it is now."""
        self._snapshot = snapshot
        begun = [trial for trial in snapshot.trials if trial.params and trial.state is not TrialState.WAITING]
        started = [trial for trial in begun if trial.number not in self._started_trials]
        ended = [trial for trial in snapshot.trials if trial.state.is_finished() and trial.number not in self._ended_trials]
        self._started_trials |= {trial.number for trial in started}
        self._ended_trials |= {trial.number for trial in ended}
        if self.is_drawn:
            return
        lines = [f"trial {trial.number} begins: {format_params(trial)}" for trial in started]
        lines += [ended_line(trial) for trial in ended]
        for line in [*lines, *([status_line(snapshot)] if ended else [])]:
            self.print(line)

    def _panel(self, width: int, height: int) -> RenderableType:
        snapshot, settings, left = self._snapshot, self._snapshot.study_config, self._snapshot.remaining_seconds
        best = {trial.number: trial for trial in snapshot.best[:_MAX_ROWS]}
        ended = [trial for trial in reversed(snapshot.ended[-_MAX_ROWS:]) if trial.number not in best]
        trials = [*best.values(), *snapshot.running, *ended]
        failed = [trial for trial in ended if trial.state is TrialState.FAIL][:_MAX_FAILURES]
        columns = _trial_columns(trials, set(best))
        return titled_panel(
            Text.assemble(("study ", "dim"), (settings.study_name or "", "bold")),
            progress_row(len(snapshot.ended) / settings.n_trials, "" if left is None else f"{format_duration(left)} left"),
            left_and_right(snapshot.format_counts(), snapshot.goal if width > 100 else ""),
            "",
            fitting_columns(columns, width - 4, right_aligned=(1, 3, *range(4, len(columns)))),
            *(Text(ended_line(trial), "red", overflow="ellipsis", no_wrap=True) for trial in failed),
        )


def _trial_columns(trials: Sequence[FrozenTrial], best: set[int]) -> list[list[Text]]:
    def value_style(trial: FrozenTrial) -> str:
        return "bold" if trial.number in best else "" if trial.state is TrialState.COMPLETE else "dim"

    def parameter(trial: FrozenTrial, name: str) -> str:
        return "" if trial.state is TrialState.FAIL else _format_parameter(trial.params.get(name, "-"))

    states = [STATE_NAMES[trial.state] for trial in trials]
    columns = {
        "": [Text("best" if trial.number in best else "", "bold") for trial in trials],
        "trial": [Text(str(trial.number)) for trial in trials],
        "state": [Text(state, _COLORS[state]) for state in states],
        "value": [Text(format_value(trial), value_style(trial)) for trial in trials],
        "time": [Text(format_duration(_duration_seconds(trial)), "dim") for trial in trials],
    }
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    parameters = [(name.rpartition(".")[2], [Text(parameter(trial, name)) for trial in trials]) for name in names]
    return [[Text(heading, "dim"), *cells] for heading, cells in [*columns.items(), *parameters]]


def format_value(trial: FrozenTrial) -> str:
    """A trial's value with its standard deviation over seeds; of a running or pruned trial the last that was reported."""
    if trial.state is TrialState.COMPLETE:
        stds = [std or math.nan for std in trial.user_attrs.get(SEED_STD) or []]
        return ", ".join(format_mean_std(value, std) for value, std in zip_longest(trial.values, stds, fillvalue=math.nan))
    if trial.intermediate_values:
        return format_number(trial.intermediate_values[max(trial.intermediate_values)])
    return NO_VALUE


def format_params(trial: FrozenTrial) -> str:
    """``gamma=0.93 n_step=10``"""
    return " ".join(f"{name}={_format_parameter(value)}" for name, value in trial.params.items())


def _format_parameter(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ended_line(trial: FrozenTrial) -> str:
    """A line for a trial that has just ended."""
    if trial.state is TrialState.FAIL:
        outcome = trial.user_attrs.get(REASON) or "no reason known"
    else:
        outcome = f"{format_value(trial)} in {format_duration(_duration_seconds(trial))}, {format_params(trial)}"
    return f"trial {trial.number} {STATE_NAMES[trial.state]}: {outcome}"


def status_line(snapshot: StudySnapshot) -> str:
    """A line for the study as it stands."""
    parts = [snapshot.format_counts()]
    if (best := snapshot.best) and len(snapshot.objectives) == 1:
        parts.append(f"best {format_value(best[0])} (trial {best[0].number})")
    elif best:
        parts.append(f"{len(best)} on the Pareto front")
    if (left := snapshot.remaining_seconds) is not None and (snapshot.running or left > 0):
        parts.append(f"{format_duration(left)} left")
    return " | ".join(parts)


def _duration_seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return 0.0
    return ((trial.datetime_complete or datetime.datetime.now()) - trial.datetime_start).total_seconds()
