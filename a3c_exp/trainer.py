"""THE training loop: budget, logging, evaluation, checkpoints, stopping. It knows no environment and no strategy by name."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from a3c_exp.checkpoint import Checkpoints
from a3c_exp.core.errors import ConfigError
from a3c_exp.core.records import Episode, Evaluation, Metrics
from a3c_exp.core.types import TrainingState
from a3c_exp.evaluation import Evaluator
from a3c_exp.learner import Stat
from a3c_exp.logging.base import Logger
from a3c_exp.parallelism.base import EpisodeEvent, Event, Notice, Parallelism, TallyEvent, Task
from a3c_exp.parallelism.tally import Tally

_TICK = 0.1
"""Seconds that the loop lets pass at most before it looks at signals, deaths and what is due."""


@dataclass(frozen=True)
class Cadence:
    """How often things happen, in environment steps; ``None`` is never (but for the end, where everything happens)."""

    metrics: int = 20_000
    evaluation: int | None = 100_000
    checkpoint: int | None = 200_000

    def __post_init__(self) -> None:
        for name in ("metrics", "evaluation", "checkpoint"):
            every = getattr(self, name)
            if every is not None and every < 1:
                raise ConfigError(f"{name}.every_env_steps is {every}, but it is at least 1. Try {name}.every_env_steps=100000")


@dataclass
class Progress:
    """What the trainer itself must remember from session to session."""

    moving_average: float | None = None
    wall_time: float = 0.0
    best_evaluation: Evaluation | None = None


class Interrupted(Exception):  # noqa: N818 - no error
    """Someone asked the run to stop."""


class Trainer:
    """Runs one parallelism on one task until the budget is spent or someone asks to stop.

    Args:
        task, parallelism, state: what is trained, how, and from where.
        evaluator: judges the shared weights.
        checkpoints: where states go.
        loggers: where results go.
        cadence: how often.
        progress: from earlier sessions.
        stop_requested: asked at every tick and between evaluation steps.
        on_first_step: called once when the first environment step has been taken.
    """

    def __init__(
        self,
        task: Task,
        parallelism: Parallelism,
        state: TrainingState,
        evaluator: Callable[[Callable[[], None]], Evaluator],
        checkpoints: Checkpoints,
        loggers: Sequence[Logger],
        cadence: Cadence,
        progress: Progress,
        stop_requested: Callable[[], bool],
        on_first_step: Callable[[], None] = lambda: None,
    ) -> None:
        self._task = task
        self._parallelism = parallelism
        self._state = state
        self._evaluator = evaluator(self._between_evaluation_steps)
        self._checkpoints = checkpoints
        self._loggers = loggers
        self._cadence = cadence
        self.progress = progress
        self._stop_requested = stop_requested
        self._on_first_step: Callable[[], None] | None = on_first_step
        self._episodes = state.episodes
        self._tally = Tally()
        self._whole_tally = Tally()
        self._last_line = (state.env_steps, state.updates, 0.0)
        self._due = {
            "metrics": _next(state.env_steps, cadence.metrics),
            "evaluation": _next(state.env_steps, cadence.evaluation),
            "checkpoint": _next(state.env_steps, cadence.checkpoint),
        }
        self._started: float | None = None
        self._stepping: float | None = None
        self._ended: float | None = None
        self._listen_due = 0.0
        self._before = progress.wall_time
        self.last_evaluation: Evaluation | None = None

    @property
    def whole_tally(self) -> Tally:
        """Everything this session's workers reported."""
        return self._whole_tally

    def train(self) -> TrainingState:
        """Run to the end of the budget; returns the final state, which is also saved and evaluated.

        Raises:
            Interrupted: after a checkpoint was saved.
            NonFiniteError, WorkerError: from the parallelism; the last good checkpoint stays.
        """
        self._parallelism.start(self._task, self._state)
        self._started = time.monotonic()
        try:
            if not self._checkpoints.exist():
                self._save(self._state)  # so that there is always something to go on from
            while not self._spent():
                if self._stop_requested():
                    raise Interrupted
                self._handle(self._parallelism.advance(_TICK))
                self._mark_first_step()
                if not self._spent():  # at the end everything is written once more anyway
                    self._do_what_is_due()
        except Interrupted:
            self._finish()
            raise
        except BaseException:
            # What went wrong was never applied, so what is there is worth keeping; but saying why comes first.
            with contextlib.suppress(OSError):
                self._finish()
            raise
        state = self._finish()
        self._evaluate(state.env_steps, state.updates)
        return state

    def _finish(self) -> TrainingState:
        """End the workers and keep where they came to."""
        self._handle(self._parallelism.stop())
        self._ended = time.monotonic()
        state = self._checkpoint()
        self._log_metrics()
        return state

    def _spent(self) -> bool:
        counts, budget = self._parallelism.counts(), self._task.budget
        if budget.max_episodes is not None and counts.episodes >= budget.max_episodes:
            return True
        return budget.max_env_steps is not None and counts.env_steps >= budget.max_env_steps

    def _do_what_is_due(self) -> None:
        counts = self._parallelism.counts()
        if counts.env_steps >= self._due["metrics"]:
            self._log_metrics()
            self._due["metrics"] = _next(counts.env_steps, self._cadence.metrics)
        if counts.env_steps >= self._due["evaluation"]:
            self._due["evaluation"] = _next(counts.env_steps, self._cadence.evaluation)
            self._evaluate(counts.env_steps, counts.updates)
        if counts.env_steps >= self._due["checkpoint"]:
            self._due["checkpoint"] = _next(counts.env_steps, self._cadence.checkpoint)
            self._checkpoint()

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case EpisodeEvent():
                    self._log_episode(event)
                case TallyEvent():
                    self._tally.merge(event.tally)
                    self._whole_tally.merge(event.tally)
                case Notice():
                    for logger in self._loggers:
                        logger.message(event.text)

    def _log_episode(self, event: EpisodeEvent) -> None:
        ended, old = event.episode, self.progress.moving_average
        mean = ended.return_ / ended.length
        self.progress.moving_average = mean if old is None else 0.99 * old + 0.01 * mean
        self._episodes += 1
        episode = Episode(
            episode=self._episodes,
            worker=ended.worker,
            return_=ended.return_,
            length=ended.length,
            mean_step_reward=mean,
            moving_average=self.progress.moving_average,
            env_step=event.env_step,
            update=event.update,
            wall_time=self.wall_time(),
            end=ended.end,
            env_seed=ended.env_seed,
        )
        for logger in self._loggers:
            logger.episode(episode)

    def _log_metrics(self) -> None:
        tally, self._tally = self._tally, Tally()
        if not tally.windows:
            return
        counts, now = self._parallelism.counts(), self.wall_time()
        last_steps, last_updates, last_time = self._last_line
        seconds = max(now - max(last_time, self._before), 1e-9)
        self._last_line = (counts.env_steps, counts.updates, now)
        metrics = Metrics(
            env_step=counts.env_steps,
            update=counts.updates,
            episode=self._episodes,
            wall_time=now,
            steps_per_second=(counts.env_steps - last_steps) / seconds,
            updates_per_second=(counts.updates - last_updates) / seconds,
            loss=tally.mean(Stat.loss),
            policy_loss=tally.mean(Stat.policy_loss),
            value_loss=tally.mean(Stat.value_loss),
            entropy=tally.mean(Stat.entropy),
            grad_norm=tally.mean(Stat.grad_norm),
            grad_norm_max=tally.grad_norm_max,
            explained_variance=tally.explained_variance,
            value_mean=tally.value_mean,
            policy_lag_mean=tally.lag_mean,
            policy_lag_max=tally.lag_max,
            moving_average=self.progress.moving_average,
        )
        for logger in self._loggers:
            logger.metrics(metrics)

    def _evaluate(self, env_step: int, update: int) -> None:
        weights = self._parallelism.weights()
        evaluation = self._evaluator.evaluate(weights, env_step, update, self.wall_time())
        best = self.progress.best_evaluation
        if best is None or evaluation.mean > best.mean:
            self.progress.best_evaluation = evaluation = replace(evaluation, best=True)
            self._checkpoints.save_best(weights, evaluation)
        self.last_evaluation = evaluation
        for logger in self._loggers:
            logger.evaluation(evaluation)

    def _between_evaluation_steps(self) -> None:
        """Training goes on while weights are judged: listen, so that nothing waits and no death goes unnoticed."""
        if self._stop_requested():
            raise Interrupted
        now = time.monotonic()
        if now >= self._listen_due and not self._spent():
            self._listen_due = now + _TICK
            self._handle(self._parallelism.advance(0.0))

    def _checkpoint(self) -> TrainingState:
        state, events = self._parallelism.snapshot()
        self._handle(events)  # before saving, so that the counters here stand where the state does
        self._save(state)
        return state

    def _save(self, state: TrainingState) -> None:
        if not state.weights.isfinite().all():
            self._handle([Notice("the weights are not finite and were not saved; the checkpoint before stays")])
            return
        self.progress.wall_time = self.wall_time()
        extra = {"moving_average": self.progress.moving_average, "wall_time": self.progress.wall_time}
        self._checkpoints.save(state, extra)

    def _mark_first_step(self) -> None:
        if self._on_first_step is not None and self._parallelism.first_step_taken():
            self._stepping = time.monotonic()
            self._on_first_step()
            self._on_first_step = None

    @property
    def started(self) -> bool:
        """Whether the parallelism has been started, so that it has counts to give."""
        return self._started is not None

    def wall_time(self) -> float:
        """Seconds of training so far, earlier sessions included; stands still once training has ended."""
        if self._started is None:
            return self._before
        return self._before + (self._ended or time.monotonic()) - self._started

    def steps_per_second(self) -> float:
        """Environment steps a second over this session's training, from the first step's time on."""
        if self._started is None:
            return 0.0
        since = self._stepping or self._started
        steps = self._parallelism.counts().env_steps - self._state.env_steps
        return steps / max((self._ended or time.monotonic()) - since, 1e-9)


def _next(env_steps: int, every: int | None) -> int:
    """The next multiple of ``every`` after ``env_steps``; never, if it is ``None``."""
    return (env_steps // every + 1) * every if every else 2**62
