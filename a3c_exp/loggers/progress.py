"""How far a run has come, as numbers and as text."""

import time
from collections.abc import Sequence

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status
from a3c_exp.system.number_format import format_duration, format_interval, format_number


class RunProgress:
    """The latest numbers of a run, from its events, and an estimate of when it will be done."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run
        self.episodes = run.start_episode
        self.env_steps = run.start_env_step
        self.updates = run.start_update
        self.moving_average: float | None = None
        self.last_metrics: MetricsRecord | None = None
        self.last_evaluation: EvaluationRecord | None = None
        self.best_evaluation: EvaluationRecord | None = None
        self._start_time = time.monotonic()
        self._start_fraction = self.fraction or 0.0

    def update(self, record: EpisodeRecord | MetricsRecord | EvaluationRecord) -> None:
        """Note what an event says; events may arrive out of order."""
        self.env_steps = max(self.env_steps, record.env_step)
        self.updates = max(self.updates, record.update)
        if isinstance(record, EvaluationRecord):
            self.last_evaluation = record
            if record.best:  # an earlier session may have seen a better one, so the first here need not be the best
                self.best_evaluation = record
            return
        self.episodes = max(self.episodes, record.episode)
        if isinstance(record, MetricsRecord):
            self.last_metrics = record
        if record.moving_average is not None:
            self.moving_average = record.moving_average

    @property
    def num_seeds(self) -> int:
        """How many seeds the numbers are means over."""
        number = self.run.config.get("num_seeds")
        return number if isinstance(number, int) else 1

    @property
    def fraction(self) -> float | None:
        """The used share of the budget that ends first; ``None`` where nothing ends the run."""
        budget = self.run.budget
        return None if budget == Budget() else budget.fraction(self.episodes, self.env_steps, self.updates)

    @property
    def elapsed(self) -> float:
        """Seconds of this session."""
        return time.monotonic() - self._start_time

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds that remain at the average speed of this session: an earlier one may have run on another machine."""
        if self.fraction is None or self.fraction <= self._start_fraction:
            return None
        return self.elapsed * (1.0 - self.fraction) / (self.fraction - self._start_fraction)

    @property
    def steps_per_second(self) -> float | None:
        if self.last_metrics:
            return self.last_metrics.steps_per_second
        done = self.env_steps - self.run.start_env_step
        return done / self.elapsed if done > 0 and self.elapsed > 0 else None


def progress_line(progress: RunProgress) -> str:
    """``  12% | episode 120/1000 | 480,000 steps | 15,300 steps/s | moving average -3.215 | ... | 3 min 40 s left``"""
    parts = [] if progress.fraction is None else [f"{format_percent(progress.fraction):>5}"]
    if progress.num_seeds > 1:
        parts.append(f"mean of {progress.num_seeds} seeds")
    parts += format_counts(progress)
    if progress.steps_per_second is not None:
        parts.append(f"{progress.steps_per_second:,.0f} steps/s{' in all' if progress.num_seeds > 1 else ''}")
    if progress.moving_average is not None:
        parts.append(f"moving average {format_number(progress.moving_average)}")
    if metrics := progress.last_metrics:
        if metrics.recent_return is not None:
            parts.append(f"return {format_number(metrics.recent_return)}")
        parts += [f"{name} {value}" for name, value in format_statistics(metrics, ("policy", "confidence"))]
        if (lag := metrics.statistics.get("policy_lag_mean")) is not None:
            parts.append(f"lag {lag:.1f}")
    if progress.last_evaluation:
        parts.append(f"eval {format_evaluations(progress)}")
    return " | ".join([*parts, format_times(progress)])


def summary_rows(progress: RunProgress, status: Status, summary: JsonObject) -> list[tuple[str, str]]:
    """Name and value of each line under a run that has ended. A run that failed early has a summary with little in it."""
    reason = (summary.get("reason") or status).partition("\n")[0]  # a traceback behind it was shown before
    rows = [("status", f"{status}: {reason}" if reason != status else status)]
    episodes, steps = summary.get("episodes") or progress.episodes, summary.get("env_steps") or progress.env_steps
    seconds = summary.get("wall_time") or progress.elapsed
    num_seeds = summary.get("num_seeds", 1)
    of_all = f"{num_seeds} seeds, together " if num_seeds > 1 else ""
    rows.append(("trained", f"{of_all}{episodes:,} episodes, {steps:,} steps in {format_duration(seconds)}"))
    if (speed := summary.get("steps_per_second", progress.steps_per_second)) is not None:
        rows.append(("speed", f"{speed:,.0f} steps/s"))
    if (average := summary.get("moving_average", progress.moving_average)) is not None:
        rows.append(("moving average", f"{format_number(average)} reward a step"))
    if (recent := summary.get("recent_return")) is not None:
        rows.append(("training return", f"{format_number(recent)}, mean of the last 100 episodes"))
    for key, name in (("evaluation", "evaluation"), ("best_evaluation", "best evaluation")):
        if evaluation := summary.get(key):
            rows.append((name, _format_evaluation(evaluation, num_seeds)))
    if lag := summary.get("policy_lag"):
        rows.append(("policy lag", f"{lag['mean']:.1f}, at most {lag['max']}"))
    directory = str(progress.run.directory)
    rows.append(("run directory", directory))
    return [*rows, ("go on with", f"resume={directory}")] if status == "interrupted" else rows


def _format_evaluation(evaluation: JsonObject, num_seeds: int) -> str:
    """``-812 [-990, -633] over 10 episodes``"""
    count, unit = (num_seeds, "seeds") if num_seeds > 1 else (evaluation["episodes"], "episodes")
    low, high = evaluation["ci_low"], evaluation["ci_high"]
    if count == 1:  # a single episode has no interval
        return f"{format_number(evaluation['mean'])}, one episode"
    return f"{format_number(evaluation['mean'], high - low)} {format_interval((low, high))} over {count} {unit}"


def format_counts(progress: RunProgress) -> list[str]:
    """``episode 120/1000`` and ``480,000 steps``; ``update 500/10,000`` where updates can end the run."""

    def of(count: int, limit: int | None) -> str:
        return f"{count:,}" if limit is None else f"{count:,}/{limit:,}"

    budget, updates = progress.run.budget, progress.updates
    counts = [f"episode {of(progress.episodes, budget.max_episodes)}", f"{of(progress.env_steps, budget.max_env_steps)} steps"]
    return counts if budget.max_updates is None else [*counts, f"update {of(updates, budget.max_updates)}"]


def format_statistics(metrics: MetricsRecord, sections: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Name and value of the shown statistics, such as ``("entropy/max", "0.62")``; of all sections if none is named."""
    shown = [(info, value) for info, value in metrics.shown() if not sections or info.section in sections]
    return [(info.label, format_number(value)) for info, value in shown]


def format_evaluations(progress: RunProgress) -> str:
    """``-812.0 (best -790.0)``"""
    last, best = progress.last_evaluation, progress.best_evaluation
    if last is None:
        return "none yet"
    return format_number(last.mean) if best is None else f"{format_number(last.mean)} (best {format_number(best.mean)})"


def format_times(progress: RunProgress) -> str:
    """``31.0 s, 3 min 40 s left``"""
    remaining = progress.remaining_seconds
    elapsed = format_duration(progress.elapsed)
    return elapsed if remaining is None else f"{elapsed}, {format_duration(remaining)} left"


def format_percent(fraction: float) -> str:
    return f"{int(100 * fraction)}%"  # rounded down: 100% means that it is over
