"""The training loop: budget, logging, evaluation, checkpoints, stopping; for every environment and parallelism the same.

::

    parallelism.start(setup, states)
    while the budget lasts and nothing asked to stop:
        events = parallelism.advance(due_steps)      # a moment of training: episodes, statistics, messages
        each tracker logs its events
        each tracker whose step is due writes metrics, evaluates, takes a screenshot, saves a checkpoint
    parallelism.stop()
    each tracker saves the final checkpoint and evaluates the final weights
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, Parallelism, StatsEvent, TrainingSetup
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.training.run_tracker import NEVER_DUE, Clock, RunTracker

_POLL_SECONDS = 0.1
"""Seconds after which the loop at the latest checks signals, dead processes and due steps."""


class Interrupted(Exception):  # noqa: N818 - no error
    """The run was asked to stop."""


class Trainer:
    """Trains until the budget is exhausted or the run is asked to stop.

    Args:
        setup, parallelism: what is trained and how.
        states: where training begins, one for each seed.
        trackers: one for each seed; they write its results.
        clock: of this session; the trackers read it.
        stop_requested: called at every iteration and between evaluation steps.
        on_first_step: called once when the first environment step has been taken.
        notices: messages for the start.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        parallelism: Parallelism,
        states: Sequence[TrainingState],
        trackers: Sequence[RunTracker],
        clock: Clock,
        stop_requested: Callable[[], bool],
        on_first_step: Callable[[], None] = lambda: None,
        notices: Sequence[str] = (),
    ) -> None:
        self._setup = setup
        self._parallelism = parallelism
        self._states = states
        self.trackers = trackers
        self._clock = clock
        self._stop_requested = stop_requested
        self._on_first_step: Callable[[], None] | None = on_first_step
        self._next_listen_time = 0.0
        self._notices = notices

    @property
    def started(self) -> bool:
        """Whether the parallelism has been started, so that it has counts to give."""
        return self._clock.started

    def train(self) -> None:
        """Run to the end of the budget; the final states are saved and evaluated.

        Raises:
            Interrupted: after a checkpoint was saved.
            NonFiniteError, WorkerError: from the parallelism; the last good checkpoint stays.
        """
        self._handle([MessageEvent(notice) for notice in self._notices])
        if self._setup.compile:
            self._handle([MessageEvent("compiling: about a minute, unless a run like this was compiled before")])
        self._handle(self._parallelism.start(self._setup, self._states))
        self._clock.start()
        try:
            for tracker, state in zip(self.trackers, self._states, strict=True):
                if not tracker.has_checkpoint():
                    tracker.save(state)  # so that there is always something to go on from
            while not self._all_budgets_exhausted():
                if self._stop_requested():
                    raise Interrupted
                self._handle(self._parallelism.advance(_POLL_SECONDS, self._due_steps()))
                self._mark_first_step()
                for index, tracker in enumerate(self.trackers):
                    self._run_due_callbacks(index, tracker)
        except Interrupted:
            self._finish()
            raise
        except BaseException:
            # What went wrong was never applied, so the state is worth saving; a failure to save must not hide the error.
            with contextlib.suppress(OSError, RunDirectoryError):
                self._finish()
            raise
        self._finish()
        for index, tracker in enumerate(self.trackers):
            tracker.evaluate(self._parallelism.weights(index), self._parallelism.counts(index))
            tracker.take_screenshot(self._parallelism.weights(index), self._parallelism.counts(index))

    def _finish(self) -> None:
        """Stop the workers and save where they are."""
        self._handle(self._parallelism.stop())
        self._clock.end()
        for index, tracker in enumerate(self.trackers):
            self._save_checkpoint(index, tracker)

    def _all_budgets_exhausted(self) -> bool:
        return all(tracker.budget_exhausted(self._parallelism.counts(index)) for index, tracker in enumerate(self.trackers))

    def _due_steps(self) -> list[int]:
        """For each seed the step at which it must wait for its callbacks; never for one whose budget is exhausted."""
        return [
            NEVER_DUE if tracker.budget_exhausted(self._parallelism.counts(index)) else tracker.next_due_step()
            for index, tracker in enumerate(self.trackers)
        ]

    def _run_due_callbacks(self, index: int, tracker: RunTracker) -> None:
        counts = self._parallelism.counts(index)
        if tracker.budget_exhausted(counts):
            return  # at the end everything is written anyway
        if tracker.is_due("metrics", counts):
            tracker.log_metrics(counts)
        if tracker.is_due("evaluation", counts):
            tracker.evaluate(self._parallelism.weights(index), counts)
        if tracker.is_due("screenshots", counts):
            tracker.take_screenshot(self._parallelism.weights(index), counts)
        if tracker.is_due("checkpoint", counts):
            self._save_checkpoint(index, tracker)

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case EpisodeEvent():
                    self.trackers[event.index].episode(event)
                case StatsEvent():
                    self.trackers[event.index].add_stats(event.stats)
                case MessageEvent():
                    for tracker in self.trackers:
                        tracker.message(event.text)

    def between_evaluation_steps(self) -> None:
        """Handle events during an evaluation, since free-running workers go on training."""
        if self._stop_requested():
            raise Interrupted
        now = time.monotonic()
        if now >= self._next_listen_time and not self._all_budgets_exhausted():
            self._next_listen_time = now + _POLL_SECONDS
            self._handle(self._parallelism.listen())

    def _save_checkpoint(self, index: int, tracker: RunTracker) -> None:
        state, events = self._parallelism.snapshot(index)
        self._handle(events)  # before saving, so that the tracker's counters are those of the state
        tracker.log_metrics(self._parallelism.counts(index))  # so that a resumed run begins a new line
        tracker.save(state)

    def _mark_first_step(self) -> None:
        if self._on_first_step is not None and self._parallelism.first_step_taken():
            self._clock.mark_first_step()
            self._on_first_step()
            self._on_first_step = None
