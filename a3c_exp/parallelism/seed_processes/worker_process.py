"""The inside of a process that trains blocks of seeds: each seed up to the step that it was given, with answers to queries."""

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, Parallelism
from a3c_exp.parallelism.multiprocess.worker_process import Failure, run_in_worker
from a3c_exp.parallelism.seed_processes.blocks import Block, SeedBlocks
from a3c_exp.system.child_process import ParentPipe
from a3c_exp.system.errors import A3CError

_SLICE_SECONDS = 0.1  # seconds of training between two checks of the pipe
_STATE_SECONDS = 1.0  # at least so long between two reports with states, unless a seed waits for the main process
_STATE_SHARE = 0.05  # of the time, at most, for such reports

Request = tuple[Literal["train_until", "weights", "snapshot", "stop"], Any]
"""A request to the process and its argument: each seed's due step, or the index of a seed. ``train_until`` has no answer."""


@dataclass(frozen=True)
class ProgressReport:
    """What happened, and the counts of each seed now; of a process that may be lost also their states, to go on from."""

    events: Sequence[Event]
    counts: Sequence[Counts]
    first_step_taken: bool
    states: Sequence[TrainingState] = ()


@dataclass(frozen=True)
class Answer:
    """The weights of a seed, or its state, what happened up to it, and whether it can be resumed from."""

    content: Any


@dataclass(frozen=True)
class FinalState:
    """The state of a seed at the end of the process, and whether it can be resumed from."""

    index: int
    state: TrainingState
    can_resume: bool
    events: Sequence[Event]
    summary: dict[str, Any]


def main(
    strategy: Parallelism, block_size: int, blocks: Sequence[Block], states: bytes, reports_states: bool, pipe: Connection
) -> None:
    """Entry of the process, which trains these ``blocks`` from the pickled ``states`` of their seeds. If it ``reports_states``,
    the main process has at any time a state that fits all that it was told, and another process can go on from there."""

    def run() -> None:
        seed_blocks = SeedBlocks(strategy, block_size)
        _SeedWorkerProcess(seed_blocks, blocks, pickle.loads(states), reports_states, pipe).run()

    run_in_worker(run, pipe)


class _SeedWorkerProcess:
    def __init__(
        self,
        seed_blocks: SeedBlocks,
        blocks: Sequence[Block],
        states: Sequence[TrainingState],
        reports_states: bool,
        pipe: Connection,
    ) -> None:
        self._seed_blocks, self._seeds = seed_blocks, range(len(states))
        self._pipe, self._parent = pipe, ParentPipe(pipe)
        self._due_steps: Sequence[int] = ()
        self._failed = False
        self._last_counts: list[Counts] = []
        self._reports_states = reports_states
        self._held = list[Event]()  # until the next report
        self._is_behind = False  # whether something has happened since the last report
        self._next_report = 0.0
        self._parent.send_heartbeats()
        self._report_progress(seed_blocks.start_blocks(blocks, states))

    def run(self) -> None:
        idle = False
        while True:
            # While it waits, any request wakes it, and so does the end of the pipe.
            while self._pipe.poll(0.05 if idle or self._failed or not self._due_steps else 0.0):
                request: Request = self._pipe.recv()
                match request:
                    case "train_until", due_steps:
                        self._due_steps = due_steps
                    case "weights", index:
                        self._parent.send(Answer(self._seed_blocks.weights(index)))
                    case "snapshot", index:
                        self._parent.send(Answer((*self._seed_blocks.snapshot(index), self._seed_blocks.can_resume(index))))
                    case _:
                        self._finish()
                        return
                idle = False
            if self._due_steps and not self._failed:
                idle = not self._train()

    def _train(self) -> bool:
        """Train for a moment; returns whether anything happened."""
        try:
            events = self._seed_blocks.advance(_SLICE_SECONDS, self._due_steps)
        except A3CError as error:
            self._failed = True
            self._report_held()
            self._parent.send(Failure(error))  # queries are still answered
            return False
        return self._report_progress(events)

    def _report_progress(self, events: Sequence[Event]) -> bool:
        """Report what happened, if anything did, and return whether it did. States take time, so they wait until a seed does,
        or for a while."""
        counts = self._counts()
        if not events and counts == self._last_counts:
            if self._is_behind:
                self._report_states()
            return False
        self._last_counts = counts
        if not self._reports_states:
            self._parent.send(ProgressReport(events, counts, self._seed_blocks.first_step_taken()))
            return True
        self._held += events
        self._is_behind = True
        waits = any(own.env_steps >= due for own, due in zip(counts, self._due_steps, strict=False))
        if waits or time.monotonic() >= self._next_report:
            self._report_states()
        return True

    def _report_states(self) -> None:
        begun = time.monotonic()
        states = []
        for index in self._seeds:
            state, events = self._seed_blocks.snapshot(index)
            states.append(state)
            self._held += events
        self._report_held(states)
        now = time.monotonic()
        self._next_report = now + max(_STATE_SECONDS, (now - begun) / _STATE_SHARE)

    def _report_held(self, states: Sequence[TrainingState] = ()) -> None:
        if self._is_behind:
            self._parent.send(ProgressReport(self._held, self._counts(), self._seed_blocks.first_step_taken(), states))
        self._held, self._is_behind = [], False

    def _counts(self) -> list[Counts]:
        return [self._seed_blocks.counts(index) for index in self._seeds]

    def _finish(self) -> None:
        if self._is_behind:
            self._report_states()
        for index in self._seeds:
            state, events = self._seed_blocks.snapshot(index)
            can_resume, summary = self._seed_blocks.can_resume(index), self._seed_blocks.summary(index)
            self._parent.send(FinalState(index, state, can_resume, events, summary))
        self._seed_blocks.stop()
