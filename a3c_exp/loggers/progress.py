"""How far a run has come, in figures and in words."""

import time

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import Episode, Evaluation, Json, Metrics, Status


class Progress:
    """The latest figures of a run, fed with its events; knows when it will probably be done."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run
        self.episodes = run.start_episode
        self.env_steps = run.start_env_step
        self.updates = run.start_update
        self.moving_average: float | None = None
        self.last_metrics: Metrics | None = None
        self.last_evaluation: Evaluation | None = None
        self.best_evaluation: Evaluation | None = None
        self._started = time.monotonic()
        self._start_fraction = self.fraction or 0.0

    def episode(self, episode: Episode) -> None:
        self.episodes = max(self.episodes, episode.episode)
        self.updates = max(self.updates, episode.update)
        self.env_steps = max(self.env_steps, episode.env_step)
        self.moving_average = episode.moving_average

    def metrics(self, metrics: Metrics) -> None:
        self.episodes = max(self.episodes, metrics.episode)
        self.env_steps = max(self.env_steps, metrics.env_step)
        self.updates = max(self.updates, metrics.update)
        self.last_metrics = metrics
        if metrics.moving_average is not None:
            self.moving_average = metrics.moving_average

    def evaluation(self, evaluation: Evaluation) -> None:
        self.env_steps = max(self.env_steps, evaluation.env_step)
        self.last_evaluation = evaluation
        if evaluation.best:  # an earlier session may have seen a better one, so the first here need not be the best
            self.best_evaluation = evaluation

    @property
    def seeds(self) -> int:
        """How many seeds the figures are means over."""
        number = self.run.config.get("num_seeds")
        return number if isinstance(number, int) else 1

    @property
    def fraction(self) -> float | None:
        """Of the budget that is nearer its end; ``None`` where nothing ends the run."""
        budget = self.run.budget
        if budget == Budget():
            return None
        return budget.fraction(self.episodes, self.env_steps, self.updates)

    @property
    def elapsed(self) -> float:
        """Seconds of this session."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds, at the average speed of this session: an earlier one may have run on another machine."""
        if self.fraction is None or self.fraction <= self._start_fraction:
            return None
        return self.elapsed * (1.0 - self.fraction) / (self.fraction - self._start_fraction)

    @property
    def steps_per_second(self) -> float | None:
        if self.last_metrics:
            return self.last_metrics.steps_per_second
        done = self.env_steps - self.run.start_env_step
        return done / self.elapsed if done > 0 and self.elapsed > 0 else None


def plain_line(progress: Progress) -> str:
    """``  12% | episode 120/1000 | 480,000 steps | 15,300 steps/s | moving average -3.21 | ... | 0:03:40 left``"""
    parts = [] if progress.fraction is None else [f"{percent(progress.fraction):>5}"]
    if progress.seeds > 1:
        parts.append(f"mean of {progress.seeds} seeds")
    parts += done(progress)
    if progress.steps_per_second is not None:
        parts.append(f"{progress.steps_per_second:,.0f} steps/s{' in all' if progress.seeds > 1 else ''}")
    if progress.moving_average is not None:
        parts.append(f"moving average {figure(progress.moving_average)}")
    if metrics := progress.last_metrics:
        if metrics.recent_return is not None:
            parts.append(f"return {figure(metrics.recent_return)}")
        parts.append(" ".join(entropy(metrics)))
        if metrics.max_probability is not None:
            parts.append(f"max probability {figure(metrics.max_probability)}")
        parts.append(f"lag {metrics.policy_lag_mean:.1f}")
    if progress.last_evaluation:
        parts.append(f"eval {evaluations(progress)}")
    return " | ".join([*parts, times(progress)])


def summary_rows(progress: Progress, status: Status, summary: Json) -> list[tuple[str, str]]:
    """What stands under a run that is over: name and value. A run that failed early has a summary with little in it."""
    reason = summary.get("reason")
    rows = [("status", f"{status}: {reason}" if reason and reason != status else status)]
    episodes, steps = summary.get("episodes") or progress.episodes, summary.get("env_steps") or progress.env_steps
    seconds = summary.get("wall_time") or progress.elapsed
    several = summary.get("num_seeds", 1)
    of_all = f"{several} seeds, together " if several > 1 else ""
    rows.append(("trained", f"{of_all}{episodes:,} episodes, {steps:,} steps in {clock(seconds)}"))
    if (speed := summary.get("steps_per_second", progress.steps_per_second)) is not None:
        rows.append(("speed", f"{speed:,.0f} steps/s"))
    if (average := summary.get("moving_average", progress.moving_average)) is not None:
        rows.append(("moving average", f"{figure(average)} reward a step"))
    if (recent := summary.get("recent_return")) is not None:
        rows.append(("training return", f"{figure(recent)}, mean of the last 100 episodes"))
    for key, name in (("evaluation", "evaluation"), ("best_evaluation", "best evaluation")):
        if found := summary.get(key):
            count, kind = (several, "seeds") if several > 1 else (found["episodes"], "episodes")
            # One says nothing of how far others would lie apart.
            interval = (
                f" [{figure(found['ci_low'])}, {figure(found['ci_high'])}] over {count} {kind}"
                if count > 1
                else ", one episode"
            )
            rows.append((name, f"{figure(found['mean'])}{interval}"))
    if lag := summary.get("policy_lag"):
        rows.append(("policy lag", f"{lag['mean']:.1f}, at most {lag['max']}"))
    return [*rows, ("run directory", str(progress.run.directory))]


def done(progress: Progress) -> list[str]:
    """``episode 120/1000`` and ``480,000 steps``; ``update 500/10,000`` where updates can end the run."""

    def of(count: int, limit: int | None) -> str:
        return f"{count:,}" if limit is None else f"{count:,}/{limit:,}"

    budget = progress.run.budget
    counts = [
        f"episode {of(progress.episodes, budget.max_episodes)}",
        f"{of(progress.env_steps, budget.max_env_steps)} steps",
    ]
    if budget.max_updates is not None:
        counts.append(f"update {of(progress.updates, budget.max_updates)}")
    return counts


def entropy(metrics: Metrics) -> tuple[str, str]:
    """``("entropy/max", "0.62")`` where there is a maximum to compare with, else ``("entropy", "1.32")``, in nats."""
    if metrics.entropy_normalised is None:
        return "entropy", figure(metrics.entropy)
    return "entropy/max", figure(metrics.entropy_normalised)


def evaluations(progress: Progress) -> str:
    """``-812 (best -790)``"""
    last, best = progress.last_evaluation, progress.best_evaluation
    if last is None:
        return "none yet"
    return figure(last.mean) if best is None else f"{figure(last.mean)} (best {figure(best.mean)})"


def times(progress: Progress) -> str:
    """``0:00:31, 0:03:40 left``"""
    left = progress.left
    return clock(progress.elapsed) if left is None else f"{clock(progress.elapsed)}, {clock(left)} left"


def percent(fraction: float) -> str:
    return f"{int(100 * fraction)}%"  # rounded down: 100% means that it is over


def figure(value: float) -> str:
    """The digits that matter: ``-3.21``, ``-812``, ``0.00012``.

    >>> figure(-3.2149), figure(-1812.3), figure(0.00012), figure(0.0)
    ('-3.21', '-1,812', '0.00012', '0.00')
    """
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if 0 < size < 0.01 else f"{value:.2f}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock(3725.9)
    '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
