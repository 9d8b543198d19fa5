"""The results of one training: what is logged, evaluated and saved at which step."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.evaluate.evaluator import Evaluator
from a3c_exp.loggers.base import Logger
from a3c_exp.parallelism.base import Counts, EpisodeEvent
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, MetricsRecord
from a3c_exp.training.checkpoint import Checkpoints
from a3c_exp.visualize.screenshots import Screenshots

NEVER_DUE = 2**62
_NUM_RECENT_EPISODES = 100


@dataclass(frozen=True)
class Intervals:
    """Intervals in environment steps; ``None``: only at the end."""

    metrics: int = 20_000
    evaluation: int | None = 100_000
    checkpoint: int | None = 200_000
    screenshots: int | None = None


@dataclass
class TrackerState:
    """What a resumed session needs in addition to the training state."""

    moving_average: float | None = None
    wall_time: float = 0.0
    best_evaluation: EvaluationRecord | None = None
    last_evaluation_step: int | None = None  # the environment step of the newest evaluation in the log
    recent_returns: "deque[float]" = field(default_factory=lambda: deque(maxlen=_NUM_RECENT_EPISODES))

    @property
    def recent_return(self) -> float | None:
        """Mean return of the last 100 training episodes, or of as many as there were."""
        return sum(self.recent_returns) / len(self.recent_returns) if self.recent_returns else None


class Clock:
    """Seconds of training, from its start to its end."""

    def __init__(self) -> None:
        self._start_time: float | None = None
        self._first_step_time: float | None = None
        self._end_time: float | None = None

    def start(self) -> None:
        self._start_time = time.monotonic()

    def mark_first_step(self) -> None:
        self._first_step_time = time.monotonic()

    def end(self) -> None:
        self._end_time = time.monotonic()

    @property
    def started(self) -> bool:
        return self._start_time is not None

    def seconds(self) -> float:
        """Since the start of this session."""
        return 0.0 if self._start_time is None else (self._end_time or time.monotonic()) - self._start_time

    def seconds_since_first_step(self) -> float:
        """Since the first environment step of this session."""
        since = self._first_step_time or self._start_time
        return 0.0 if since is None else (self._end_time or time.monotonic()) - since


class RunTracker:
    """One training's results.

    Args:
        budget: of the training.
        state: where this session begins.
        tracker_state: from earlier sessions.
        evaluator: of the shared weights.
        checkpoints: of the training.
        loggers: receive the results.
        intervals: of logging, evaluation, checkpoints and screenshots.
        clock: of the session.
        worker_hyperparameters: each worker's entropy coefficient and learning rate.
        max_entropy: of the policy, in nats; ``None`` where it has none.
        statistics: what is logged of the windows.
        screenshots: takes them; ``None`` for none.
    """

    def __init__(
        self,
        budget: Budget,
        state: TrainingState,
        tracker_state: TrackerState,
        evaluator: Evaluator,
        checkpoints: Checkpoints,
        loggers: Sequence[Logger],
        intervals: Intervals,
        clock: Clock,
        worker_hyperparameters: Sequence[Mapping[str, float]] = (),
        max_entropy: float | None = None,
        screenshots: Screenshots | None = None,
        statistics: StatisticsTable | None = None,
    ) -> None:
        self._budget = budget
        self._start_counts = Counts(state.env_steps, state.updates, state.episodes)
        self.tracker_state = tracker_state
        self._evaluator = evaluator
        self._checkpoints = checkpoints
        self.loggers = loggers
        self._intervals = intervals
        self._clock = clock
        self.worker_hyperparameters = list(worker_hyperparameters)
        self._max_entropy = max_entropy
        self._screenshots = screenshots
        self._statistics = statistics or StatisticsTable()
        self._earlier_wall_time = tracker_state.wall_time
        self._episodes = state.episodes
        self._stats = TrainingStats()
        self.total_stats = TrainingStats()
        self._last_logged = (state.env_steps, state.updates, self._earlier_wall_time)
        self._due_steps = {name: _next_due_step(state.env_steps, every) for name, every in vars(intervals).items()}
        if state.env_steps:  # an evaluation that the stop interrupted is repeated
            self._due_steps["evaluation"] = _next_due_step(tracker_state.last_evaluation_step or 0, intervals.evaluation)
        self.last_evaluation: EvaluationRecord | None = None

    # -- budget and due steps ---------------------------------------------------------------------------------------------

    def budget_exhausted(self, counts: Counts) -> bool:
        """Whether the budget is used up."""
        return self._budget.fraction(counts.episodes, counts.env_steps, counts.updates) >= 1.0

    def next_due_step(self) -> int:
        """The environment step at which something is due."""
        return min(self._due_steps.values())

    def is_due(self, name: str, counts: Counts) -> bool:
        """Whether it is time for ``metrics``, ``evaluation``, ``screenshots`` or ``checkpoint``; sets the next due step."""
        if counts.env_steps < self._due_steps[name]:
            return False
        self._due_steps[name] = _next_due_step(counts.env_steps, getattr(self._intervals, name))
        return True

    # -- what happened ---------------------------------------------------------------------------------------------------

    def episode(self, event: EpisodeEvent) -> None:
        """Log a finished episode, and update the moving average."""
        ended, old = event.episode, self.tracker_state.moving_average
        mean = ended.return_ / ended.length
        self.tracker_state.moving_average = mean if old is None else 0.99 * old + 0.01 * mean
        self.tracker_state.recent_returns.append(ended.return_)
        self._episodes += 1
        episode = EpisodeRecord(
            episode=self._episodes,
            worker=ended.worker,
            return_=ended.return_,
            length=ended.length,
            mean_step_reward=mean,
            moving_average=self.tracker_state.moving_average,
            env_step=event.env_step,
            update=event.update,
            wall_time=self.wall_time(),
            end=ended.end,
            env_seed=ended.env_seed,
        )
        for logger in self.loggers:
            logger.episode(episode)

    def add_stats(self, stats: TrainingStats) -> None:
        self._stats.merge(stats)
        self.total_stats.merge(stats)

    def message(self, text: str) -> None:
        for logger in self.loggers:
            logger.message(text)

    def log_metrics(self, counts: Counts) -> None:
        """Write the averages since the last line; nothing, if nothing was learned since."""
        stats = self._stats
        last_steps, last_updates, last_time = self._last_logged
        if not stats.windows or counts.env_steps == last_steps:
            return  # late statistics of free-running workers belong to steps of the last line; they wait for the next
        self._stats = TrainingStats()
        now = self.wall_time()
        seconds = max(now - last_time, 1e-9)
        self._last_logged = (counts.env_steps, counts.updates, now)
        metrics = MetricsRecord(
            env_step=counts.env_steps,
            update=counts.updates,
            episode=self._episodes,
            wall_time=now,
            steps_per_second=(counts.env_steps - last_steps) / seconds,
            updates_per_second=(counts.updates - last_updates) / seconds,
            statistics=self._statistics.values(stats, self._max_entropy),
            infos=self._statistics.infos,
            worker_steps_per_second=(stats.worker_steps / seconds).tolist(),
            worker_updates_per_second=(stats.worker_windows / seconds).tolist(),
            moving_average=self.tracker_state.moving_average,
            recent_return=self.tracker_state.recent_return,
        )
        for logger in self.loggers:
            logger.metrics(metrics)

    def evaluate(self, weights: Tensor, counts: Counts) -> None:
        """Evaluate the weights, and save them if they are the best so far."""
        evaluation = self._evaluator.evaluate(weights, counts.env_steps, counts.updates, self.wall_time())
        best = self.tracker_state.best_evaluation
        # Of equals the later one: where returns have a maximum, the first weights to reach it are seldom the most reliable.
        if best is None or evaluation.mean >= best.mean:
            self.tracker_state.best_evaluation = evaluation = replace(evaluation, best=True)
            self._checkpoints.save_best(weights, evaluation)
        self.last_evaluation = evaluation
        for logger in self.loggers:
            logger.evaluation(evaluation)

    def take_screenshot(self, weights: Tensor, counts: Counts) -> None:
        """Take a screenshot with these weights, if screenshots are wanted."""
        if self._screenshots is None:
            return
        try:
            path = self._screenshots.take(weights, counts.env_steps)
        except OSError as error:
            self.message(f"a screenshot could not be written: {error}")
            return
        for logger in self.loggers:
            logger.screenshot(path, counts.env_steps)

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint."""
        if not state.weights.isfinite().all():
            self.message("the weights are not finite and were not saved; the previous checkpoint stays")
            return
        for logger in self.loggers:
            logger.sync()
        self.tracker_state.wall_time = self.wall_time()
        extra = {"moving_average": self.tracker_state.moving_average, "wall_time": self.tracker_state.wall_time}
        self._checkpoints.save(state, extra)

    def has_checkpoint(self) -> bool:
        return self._checkpoints.has_any()

    # -- speed -----------------------------------------------------------------------------------------------------------

    def wall_time(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._earlier_wall_time + self._clock.seconds()

    def steps_per_second(self, counts: Counts) -> float:
        """Environment steps a second over this session's training, from the first step's time on."""
        return (counts.env_steps - self._start_counts.env_steps) / max(self._clock.seconds_since_first_step(), 1e-9)


def _next_due_step(env_steps: int, every: int | None) -> int:
    """The next multiple of ``every`` after ``env_steps``; never, if it is ``None``."""
    return (env_steps // every + 1) * every if every else NEVER_DUE
