"""A study at one moment, as numbers and as text."""

import datetime
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import REASON, RETRY_OF, SEED_STD
from a3c_exp.sweep.study.objective import Objective
from a3c_exp.sweep.trials.trial_queue import num_distinct_trials
from a3c_exp.system.number_format import NO_VALUE, format_duration, format_mean_std, format_number

STATE_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
         TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}  # fmt: skip


@dataclass(frozen=True)
class StudySnapshot:
    """A study at one moment.

    Attributes:
        name: of the study.
        objectives: what it maximizes or minimizes.
        n_trials: trials in all sessions together.
        n_jobs: trials side by side, in this session.
        trials: all there are, by number.
        ended_before: numbers of those that had ended when this session began.
    """

    name: str
    objectives: Sequence[Objective]
    n_trials: int
    n_jobs: int
    trials: Sequence[FrozenTrial]
    ended_before: Set[int]

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that have ended, without those that are retried; the one that ended last comes last."""
        repeated = {trial.user_attrs.get(RETRY_OF) for trial in self.trials}
        ended = [trial for trial in self.trials if trial.state.is_finished() and trial.number not in repeated]
        return sorted(ended, key=lambda trial: (trial.datetime_complete or datetime.datetime.min, trial.number))

    @property
    def running(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state is TrialState.RUNNING]

    @property
    def best(self) -> list[FrozenTrial]:
        """The best complete trial; with several objectives the Pareto front. Empty without a complete trial."""
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        if len(self.objectives) == 1 and complete:
            sign = -1 if self.objectives[0].direction == "minimize" else 1
            return [max(complete, key=lambda trial: sign * (trial.value or 0.0))]
        return [trial for trial in complete if not any(self._dominates(other, trial) for other in complete)]

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds that remain if trials take as long as those of this session did; ``None`` before one has ended."""
        durations = [_duration_seconds(trial) for trial in self.ended if trial.number not in self.ended_before]
        if not durations:
            return None
        mean = sum(durations) / len(durations)
        not_started = max(0, self.n_trials - num_distinct_trials(self.trials))
        waiting = sum(trial.state is TrialState.WAITING for trial in self.trials)
        running = sum(max(0.0, mean - _duration_seconds(trial)) for trial in self.running)
        return (mean * (not_started + waiting) + running) / self.n_jobs

    def format_counts(self) -> str:
        """``12 of 60 trials: 7 complete, 4 pruned, 1 failed; 2 running``"""
        ended = self.ended
        states = [
            f"{sum(trial.state is state for trial in ended)} {STATE_NAMES[state]}"
            for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
            if any(trial.state is state for trial in ended)
        ]
        text = f"{len(ended)} of {self.n_trials} trials" + (f": {', '.join(states)}" if states else "")
        return text + (f"; {len(self.running)} running" if self.running else "")

    def _dominates(self, trial: FrozenTrial, other: FrozenTrial) -> bool:
        pairs = list(zip(self.objectives, trial.values, other.values, strict=True))
        return all(a == b or objective.is_better(a, b) for objective, a, b in pairs) and any(a != b for _, a, b in pairs)


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
    return " ".join(f"{name}={format_parameter(value)}" for name, value in trial.params.items())


def format_parameter(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_elapsed(trial: FrozenTrial) -> str:
    """``1 min 31 s``"""
    return format_duration(_duration_seconds(trial))


def end_reason(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(REASON, ""))


def ended_line(trial: FrozenTrial) -> str:
    """A line for a trial that has just ended."""
    if trial.state is TrialState.FAIL:
        outcome = end_reason(trial) or "no reason known"
    else:
        outcome = f"{format_value(trial)} in {format_elapsed(trial)}, {format_params(trial)}"
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


def parameter_names(trials: Sequence[FrozenTrial]) -> Mapping[str, None]:
    """The names of all parameters, in order of their first appearance."""
    return dict.fromkeys(name for trial in trials for name in trial.params)
