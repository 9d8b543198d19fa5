"""The inside of a process that trains blocks of seeds: it goes on to the dates that it was given, and answers questions."""

import pickle
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event
from a3c_exp.parallelism.multiprocess.worker_process import run_in_worker
from a3c_exp.parallelism.seed_processes.blocks import Block, SeedBlocks, SeedBlockStrategy
from a3c_exp.system.errors import A3CError

_SLICE_SECONDS = 0.1
"""Seconds of training between two looks at the pipe."""
_HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class DueSteps:
    """To the process: for each of its seeds the environment steps at which it waits."""

    due_steps: Sequence[int]


@dataclass(frozen=True)
class Query:
    """To the process: ``weights`` or ``snapshot`` of one of its seeds."""

    kind: str
    index: int


@dataclass(frozen=True)
class Stop:
    """To the process: say where all seeds stand, and end."""


@dataclass(frozen=True)
class ProgressReport:
    """What happened, and where each seed stands now."""

    events: Sequence[Event]
    counts: Sequence[Counts]
    first_step_taken: bool


@dataclass(frozen=True)
class Answer:
    """To ``Query``: the weights, or a state to go on from and what happened up to it."""

    content: Any


@dataclass(frozen=True)
class TrainingFailed:
    """Training cannot go on; questions are still answered."""

    error: A3CError


@dataclass(frozen=True)
class FinalState:
    """Where a seed stands at the end, the last word about it."""

    index: int
    state: TrainingState
    weights: Tensor
    counts: Counts
    events: Sequence[Event]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life: an environment's step, or making machine code, may take longer than silence is allowed to."""


def main(strategy: SeedBlockStrategy, block_size: int, blocks: Sequence[Block], states: bytes, pipe: Connection) -> None:
    """Entry of the process.

    Args:
        strategy: trains a block.
        block_size: seeds in a block.
        blocks: this process's.
        states: their seeds', pickled.
        pipe: to the main process.
    """
    run_in_worker(lambda: _SeedWorkerProcess(SeedBlocks(strategy, block_size), blocks, pickle.loads(states), pipe).run(), pipe)


class _SeedWorkerProcess:
    def __init__(
        self, seed_blocks: SeedBlocks, blocks: Sequence[Block], states: Sequence[TrainingState], pipe: Connection
    ) -> None:
        self._seed_blocks = seed_blocks
        self._seeds = range(len(states))
        self._pipe = pipe
        self._send_lock = threading.Lock()
        self._due_steps: Sequence[int] = ()
        self._failed = False
        self._last_counts: list[Counts] = []
        threading.Thread(target=self._send_heartbeats, daemon=True).start()
        self._report_progress(seed_blocks.start_blocks(blocks, states))

    def run(self) -> None:
        """Train until told to stop."""
        idle = False
        while True:
            # One that waits is woken by whatever is said to it, and by the end of the pipe.
            while self._pipe.poll(0.05 if idle or self._failed or not self._due_steps else 0.0):
                word = pickle.loads(self._pipe.recv_bytes())
                if isinstance(word, Stop):
                    self._finish()
                    return
                self._handle_message(word)
                idle = False
            if self._due_steps and not self._failed:
                idle = not self._train()

    def _handle_message(self, message: DueSteps | Query) -> None:
        match message:
            case DueSteps():
                self._due_steps = message.due_steps
            case Query(kind="weights"):
                self._send(Answer(self._seed_blocks.weights(message.index)))
            case Query():
                self._send(Answer(self._seed_blocks.snapshot(message.index)))

    def _train(self) -> bool:
        """Train for a moment; whether anything happened."""
        try:
            events = self._seed_blocks.advance(_SLICE_SECONDS, self._due_steps)
        except A3CError as error:
            self._failed = True
            self._send(TrainingFailed(error))
            return False
        return self._report_progress(events)

    def _report_progress(self, events: Sequence[Event]) -> bool:
        counts = [self._seed_blocks.counts(index) for index in self._seeds]
        if not events and counts == self._last_counts:
            return False
        self._last_counts = counts
        self._send(ProgressReport(events, counts, self._seed_blocks.first_step_taken()))
        return True

    def _finish(self) -> None:
        for index in self._seeds:
            state, events = self._seed_blocks.snapshot(index)
            weights, counts = self._seed_blocks.weights(index), self._seed_blocks.counts(index)
            self._send(FinalState(index, state, weights, counts, events, self._seed_blocks.summary(index)))
        self._seed_blocks.stop()

    def _send(self, message: Any) -> None:
        # Pickled here: a connection of its own accord would send tensors as open files, which end with this process.
        content = pickle.dumps(message)
        with self._send_lock:
            self._pipe.send_bytes(content)

    def _send_heartbeats(self) -> None:
        try:
            while True:
                time.sleep(_HEARTBEAT_SECONDS)
                self._send(Heartbeat())
        except OSError:
            pass  # over
