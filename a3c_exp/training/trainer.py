"""THE training loop: budget, logging, evaluation, checkpoints, stopping. It knows no environment and no strategy by name."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import EpisodeEvent, Event, Notice, Parallelism, TallyEvent, Task
from a3c_exp.training.run_tracker import NEVER, Clock, Track

_TICK = 0.1
"""Seconds that the loop lets pass at most before it looks at signals, deaths and what is due."""


class Interrupted(Exception):  # noqa: N818 - no error
    """Someone asked the run to stop."""


class Trainer:
    """Runs one parallelism on one task until the budget is spent or someone asks to stop.

    Args:
        task, parallelism: what is trained and how.
        states: from where, one for each seed.
        tracks: each seed's results.
        clock: of this session; the tracks read it.
        stop_requested: asked at every tick and between evaluation steps.
        on_first_step: called once when the first environment step has been taken.
        remarks: said at the start.
    """

    def __init__(
        self,
        task: Task,
        parallelism: Parallelism,
        states: Sequence[TrainingState],
        tracks: Sequence[Track],
        clock: Clock,
        stop_requested: Callable[[], bool],
        on_first_step: Callable[[], None] = lambda: None,
        remarks: Sequence[str] = (),
    ) -> None:
        self._task = task
        self._parallelism = parallelism
        self._states = states
        self.tracks = tracks
        self._clock = clock
        self._stop_requested = stop_requested
        self._on_first_step: Callable[[], None] | None = on_first_step
        self._listen_due = 0.0
        self._remarks = remarks

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
        self._handle([Notice(remark) for remark in self._remarks])
        if self._task.compile:
            self._handle([Notice("making machine code: about a minute, unless a run like this did so before")])
        self._handle(self._parallelism.start(self._task, self._states))
        self._clock.start()
        try:
            for track, state in zip(self.tracks, self._states, strict=True):
                if not track.has_checkpoint():
                    track.save(state)  # so that there is always something to go on from
            while not self._all_spent():
                if self._stop_requested():
                    raise Interrupted
                self._handle(self._parallelism.advance(_TICK, self._dates()))
                self._mark_first_step()
                for index, track in enumerate(self.tracks):
                    self._do_what_is_due(index, track)
        except Interrupted:
            self._finish()
            raise
        except BaseException:
            # What went wrong was never applied, so what is there is worth keeping; but saying why comes first.
            with contextlib.suppress(OSError):
                self._finish()
            raise
        self._finish()
        for index, track in enumerate(self.tracks):
            track.evaluate(self._parallelism.weights(index), self._parallelism.counts(index))
            track.take_screenshot(self._parallelism.weights(index), self._parallelism.counts(index))

    def _finish(self) -> None:
        """End the workers and keep where they came to."""
        self._handle(self._parallelism.stop())
        self._clock.end()
        for index, track in enumerate(self.tracks):
            self._checkpoint(index, track)

    def _all_spent(self) -> bool:
        return all(track.spent(self._parallelism.counts(index)) for index, track in enumerate(self.tracks))

    def _dates(self) -> list[int]:
        """For each seed the step at which it must wait for us; one that has spent its budget keeps nobody waiting."""
        return [
            NEVER if track.spent(self._parallelism.counts(index)) else track.next_date()
            for index, track in enumerate(self.tracks)
        ]

    def _do_what_is_due(self, index: int, track: Track) -> None:
        counts = self._parallelism.counts(index)
        if track.spent(counts):
            return  # at the end everything is written once more anyway
        if track.is_due("metrics", counts):
            track.log_metrics(counts)
        if track.is_due("evaluation", counts):
            track.evaluate(self._parallelism.weights(index), counts)
        if track.is_due("screenshots", counts):
            track.take_screenshot(self._parallelism.weights(index), counts)
        if track.is_due("checkpoint", counts):
            self._checkpoint(index, track)

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case EpisodeEvent():
                    self.tracks[event.index].episode(event)
                case TallyEvent():
                    self.tracks[event.index].add(event.tally)
                case Notice():
                    for track in self.tracks:
                        track.message(event.text)

    def between_evaluation_steps(self) -> None:
        """Training may go on while weights are judged: listen, so that nothing waits and no death goes unnoticed."""
        if self._stop_requested():
            raise Interrupted
        now = time.monotonic()
        if now >= self._listen_due and not self._all_spent():
            self._listen_due = now + _TICK
            self._handle(self._parallelism.listen())

    def _checkpoint(self, index: int, track: Track) -> None:
        state, events = self._parallelism.snapshot(index)
        self._handle(events)  # before saving, so that the counters here stand where the state does
        track.log_metrics(self._parallelism.counts(index))  # so that whoever goes on from here begins a line of its own
        track.save(state)

    def _mark_first_step(self) -> None:
        if self._on_first_step is not None and self._parallelism.first_step_taken():
            self._clock.first_step()
            self._on_first_step()
            self._on_first_step = None
