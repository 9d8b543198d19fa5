"""The results of one training: what is logged, evaluated and saved at which step."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from a3c_exp.training.learning_watch import LearningWatch
from a3c_exp.visualize.screenshots import Screenshots

NEVER_DUE = 2**62
_NUM_RECENT_EPISODES = 100


@dataclass
class TrackerState:
    """What a resumed session needs in addition to the training state."""

    moving_average: float | None = None
    wall_time: float = 0.0
    best_evaluation: EvaluationRecord | None = None
    last_evaluation_step: int = 0  # the environment step of the newest evaluation in the log
    recent_returns: "deque[float]" = field(default_factory=lambda: deque(maxlen=_NUM_RECENT_EPISODES))

    @property
    def recent_return(self) -> float | None:
        """Mean return of the last 100 training episodes, or of as many as there were."""
        return sum(self.recent_returns) / len(self.recent_returns) if self.recent_returns else None


@dataclass
class Clock:
    """Seconds of training, from its start to its end; the trainer sets the times, in monotonic seconds."""

    start_time: float | None = None
    first_step_time: float | None = None
    end_time: float | None = None

    def seconds(self, since_first_step: bool = False) -> float:
        """Since the start of this session, or since its first environment step."""
        since = (since_first_step and self.first_step_time) or self.start_time
        return 0.0 if since is None else (self.end_time or time.monotonic()) - since


@dataclass(eq=False)
class RunTracker:
    """One training's results."""

    budget: Budget
    state: TrainingState  # where this session begins
    tracker_state: TrackerState  # from earlier sessions
    evaluator: Evaluator  # of the shared weights
    checkpoints: Checkpoints
    loggers: Sequence[Logger]  # receive the results
    intervals: Mapping[str, int | None]  # in environment steps, of all that ``due`` names; ``None``: only at the end
    clock: Clock  # of the session
    worker_hyperparameters: Sequence[Mapping[str, float]] = ()  # each worker's entropy coefficient and learning rate
    max_entropy: float | None = None  # of the policy, in nats; ``None`` where it has none
    screenshots: Screenshots | None = None
    statistics: StatisticsTable = field(default_factory=StatisticsTable)  # what is logged of the windows
    # The hyperparameters that have a schedule, by their keys, as they are at a fraction of the budget.
    scheduled_hyperparameters: Callable[[float], Mapping[str, float]] = lambda _: {}
    learning_watch: LearningWatch | None = None  # says so if nothing is learned at first

    def __post_init__(self) -> None:
        state, self._start_env_steps = self.state, self.state.env_steps
        self._earlier_wall_time = self.tracker_state.wall_time
        self._episodes = state.episodes
        self._stats, self.total_stats = TrainingStats(), TrainingStats()
        self._last_logged = (state.env_steps, state.updates, self._earlier_wall_time)
        self._due_steps = {name: _next_due_step(state.env_steps, every) for name, every in self.intervals.items()}
        if state.env_steps:  # an evaluation that the stop interrupted is repeated
            last_step = self.tracker_state.last_evaluation_step
            self._due_steps["evaluation"] = _next_due_step(last_step, self.intervals["evaluation"])
        self.last_evaluation: EvaluationRecord | None = None
        self._info_checked = False

    def budget_exhausted(self, counts: Counts) -> bool:
        return self._fraction(counts) >= 1.0

    def _fraction(self, counts: Counts) -> float:
        return self.budget.fraction(counts.episodes, counts.env_steps, counts.updates)

    def next_due_step(self) -> int:
        """The environment step at which something is due."""
        return min(self._due_steps.values())

    def due(self, counts: Counts) -> Iterator[str]:
        """The names of what is due, in the order of ``intervals``; sets the next due step of each."""
        for name, step in self._due_steps.items():
            if counts.env_steps >= step:
                self._due_steps[name] = _next_due_step(counts.env_steps, self.intervals[name])
                yield name

    def episode(self, event: EpisodeEvent) -> None:
        """Log a finished episode, and update the moving average."""
        ended, old = event.episode, self.tracker_state.moving_average
        if ended.info and not self._info_checked:
            self._check_info(ended.info)
        mean = ended.return_ / ended.length
        self.tracker_state.moving_average = mean if old is None else 0.99 * old + 0.01 * mean
        self.tracker_state.recent_returns.append(ended.return_)
        self._episodes += 1
        episode = EpisodeRecord(
            episode=self._episodes,
            mean_step_reward=mean,
            moving_average=self.tracker_state.moving_average,
            env_step=event.env_step,
            update=event.update,
            wall_time=self.wall_time(),
            **vars(ended),
        )
        for logger in self.loggers:
            logger.episode(episode)

    def _check_info(self, info: Mapping[str, float]) -> None:
        """Say which keys of env.log_info the first episode did not have: a misspelled one will never come."""
        self._info_checked = True
        if missing := [key for key, value in info.items() if math.isnan(value)]:
            self.message(
                f"env.log_info has {', '.join(missing)}, which was in no info of the first episode. Is it the environment's "
                "own word? It is logged as null until it comes"
            )

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
            statistics=self.statistics.values(stats, self.max_entropy, self.scheduled_hyperparameters(self._fraction(counts))),
            infos=self.statistics.infos,
            worker_steps_per_second=(stats.worker_steps / seconds).tolist(),
            worker_updates_per_second=(stats.worker_windows / seconds).tolist(),
            moving_average=self.tracker_state.moving_average,
            recent_return=self.tracker_state.recent_return,
        )
        for logger in self.loggers:
            logger.metrics(metrics)
        text = self.learning_watch and self.learning_watch.message(counts.updates, metrics.statistics)
        if text:
            self.message(text)

    def evaluate(self, weights: Tensor, counts: Counts) -> None:
        """Evaluate the weights, and save them if they are the best so far."""
        evaluation = self.evaluator.evaluate(weights, counts.env_steps, counts.updates, self.wall_time())
        best = self.tracker_state.best_evaluation
        # Of equals the later one: where returns have a maximum, the first weights to reach it are seldom the most reliable.
        if best is None or evaluation.mean >= best.mean:
            self.tracker_state.best_evaluation = evaluation = replace(evaluation, best=True)
            self.checkpoints.save_best(weights, evaluation)
        self.last_evaluation = evaluation
        for logger in self.loggers:
            logger.evaluation(evaluation)

    def take_screenshot(self, weights: Tensor, counts: Counts) -> None:
        """Take a screenshot with these weights, if screenshots are wanted."""
        if self.screenshots is None:
            return
        try:
            path = self.screenshots.take(weights, counts.env_steps)
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
        path = self.checkpoints.save(state, extra)
        for logger in self.loggers:
            logger.checkpoint(path, state.env_steps)

    def wall_time(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._earlier_wall_time + self.clock.seconds()

    def steps_per_second(self, counts: Counts) -> float:
        """Environment steps a second over this session's training, from the first step's time on."""
        return (counts.env_steps - self._start_env_steps) / max(self.clock.seconds(since_first_step=True), 1e-9)


def _next_due_step(env_steps: int, every: int | None) -> int:
    """The next multiple of ``every`` after ``env_steps``; never, if it is ``None``."""
    return (env_steps // every + 1) * every if every else NEVER_DUE
