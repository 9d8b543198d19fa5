"""The training loop: budget, logging, evaluation, checkpoints, stopping; for every environment and parallelism the same."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, Parallelism, StatsEvent, TrainingSetup
from a3c_exp.training.run_tracker import NEVER_DUE, Clock, RunTracker

_POLL_SECONDS = 0.1
"""Seconds after which the loop at the latest checks signals, dead processes and due steps."""


class Interrupted(Exception):  # noqa: N818 - no error
    """The run was asked to stop."""


@dataclass(eq=False)
class Trainer:
    """Trains until the budget is exhausted or the run is asked to stop."""

    setup: TrainingSetup
    parallelism: Parallelism
    trackers: Sequence[RunTracker]  # one for each seed; they know where its training begins and write its results
    clock: Clock  # of this session; the trackers read it
    stop_requested: Callable[[], bool]  # called at every iteration and between evaluation steps
    on_first_step: Callable[[], object]  # called once when the first environment step has been taken
    end_requested: Callable[[], bool]  # called at every iteration: whether to end as if the budget were exhausted
    notices: Sequence[str] = ()  # messages for the start
    _next_listen_time = 0.0
    _events_lost = False

    @property
    def started(self) -> bool:
        """Whether the parallelism has been started, so that it has counts to give."""
        return self.clock.start_time is not None

    def train(self) -> None:
        """Run to the end of the budget; the final states are saved and evaluated. ``Interrupted`` comes after a checkpoint was
        saved; after a NonFiniteError or WorkerError of the parallelism the last good checkpoint stays."""
        self._handle([MessageEvent(notice) for notice in self.notices])
        if self.setup.compile:
            self._handle([MessageEvent("compiling: about a minute, unless a run like this was compiled before")])
        for tracker in self.trackers:
            if not tracker.checkpoints.has_any():
                tracker.save(tracker.state)  # so that there is always something to go on from
        self._handle(self.parallelism.start(self.setup, [tracker.state for tracker in self.trackers]))
        self.clock.start_time = time.monotonic()
        try:
            while not self._all_budgets_exhausted() and not self.end_requested():
                if self.stop_requested():
                    raise Interrupted
                # A seed waits for its callbacks at the step at which they are due; never once its budget is exhausted.
                due_steps = [
                    NEVER_DUE if tracker.budget_exhausted(self.parallelism.counts(index)) else tracker.next_due_step()
                    for index, tracker in enumerate(self.trackers)
                ]
                self._handle(self.parallelism.advance(_POLL_SECONDS, due_steps))
                if self.clock.first_step_time is None and self.parallelism.first_step_taken():
                    self.clock.first_step_time = time.monotonic()
                    self.on_first_step()
                for index, tracker in enumerate(self.trackers):
                    self._run_due_callbacks(index, tracker)
        except Interrupted:
            self._finish()
            raise
        except BaseException:
            # What went wrong was never applied, so a state between two rounds is worth saving; one in the middle of a round is
            # not, for a run that goes on from it is another one. A failure to save must not hide the error.
            with contextlib.suppress(Exception):
                self._finish()
            raise
        self._finish()
        for index, tracker in enumerate(self.trackers):
            tracker.evaluate(self.parallelism.weights(index), self.parallelism.counts(index))
            tracker.take_screenshot(self.parallelism.weights(index), self.parallelism.counts(index))

    def _finish(self) -> None:
        """Stop the workers and save where they are."""
        self._handle(self.parallelism.stop())
        self.clock.end_time = time.monotonic()
        for index, tracker in enumerate(self.trackers):
            self._save_checkpoint(index, tracker)

    def _all_budgets_exhausted(self) -> bool:
        return all(tracker.budget_exhausted(self.parallelism.counts(index)) for index, tracker in enumerate(self.trackers))

    def _run_due_callbacks(self, index: int, tracker: RunTracker) -> None:
        counts = self.parallelism.counts(index)
        if tracker.budget_exhausted(counts):
            return  # at the end everything is written anyway
        for name in tracker.due(counts):
            match name:
                case "metrics":
                    tracker.log_metrics(counts)
                case "evaluation":
                    tracker.evaluate(self.parallelism.weights(index), counts)
                case "screenshots":
                    tracker.take_screenshot(self.parallelism.weights(index), counts)
                case "checkpoint":
                    self._save_checkpoint(index, tracker)

    def _handle(self, events: Iterable[Event]) -> None:
        try:
            for event in events:
                match event:
                    case EpisodeEvent():
                        self.trackers[event.index].episode(event)
                    case StatsEvent():
                        self.trackers[event.index].add_stats(event.stats)
                    case MessageEvent():
                        for tracker in self.trackers:
                            tracker.message(event.text)
        except BaseException:
            self._events_lost = True  # trackers and log have fallen behind the state
            raise

    def between_evaluation_steps(self) -> None:
        """Handle events during an evaluation, since free-running workers go on training."""
        if self.stop_requested():
            raise Interrupted
        now = time.monotonic()
        if now >= self._next_listen_time and not self._all_budgets_exhausted():
            self._next_listen_time = now + _POLL_SECONDS
            self._handle(self.parallelism.listen())

    def _save_checkpoint(self, index: int, tracker: RunTracker) -> None:
        state, events = self.parallelism.snapshot(index)
        self._handle(events)  # before saving, so that the tracker's counters are those of the state
        tracker.log_metrics(self.parallelism.counts(index))  # so that a resumed run begins a new line
        if self.parallelism.can_resume(index) and not self._events_lost:
            tracker.save(state)
