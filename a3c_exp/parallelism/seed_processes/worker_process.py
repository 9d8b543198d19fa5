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
from a3c_exp.parallelism.multiprocess.worker_process import inside
from a3c_exp.parallelism.seed_processes.blocks import Block, SeedBlocks, Stack
from a3c_exp.system.errors import A3CError

_SLICE = 0.1
"""Seconds of training between two looks at the pipe."""
_BEAT = 5.0


@dataclass(frozen=True)
class Dates:
    """To the process: for each of its seeds the environment steps at which it waits."""

    until: Sequence[int]


@dataclass(frozen=True)
class Ask:
    """To the process: ``weights`` or ``snapshot`` of one of its seeds."""

    what: str
    index: int


@dataclass(frozen=True)
class Stop:
    """To the process: say where all seeds stand, and end."""


@dataclass(frozen=True)
class Trained:
    """What happened, and where each seed stands now."""

    events: Sequence[Event]
    counts: Sequence[Counts]
    begun: bool


@dataclass(frozen=True)
class Answer:
    """To ``Ask``: the weights, or a state to go on from and what happened up to it."""

    content: Any


@dataclass(frozen=True)
class Failed:
    """Training cannot go on; questions are still answered."""

    error: A3CError


@dataclass(frozen=True)
class Final:
    """Where a seed stands at the end, the last word about it."""

    index: int
    state: TrainingState
    weights: Tensor
    counts: Counts
    events: Sequence[Event]
    figures: dict[str, Any]


@dataclass(frozen=True)
class Alive:
    """A sign of life: an environment's step, or making machine code, may take longer than silence is allowed to."""


def main(stack: Stack, size: int, blocks: Sequence[Block], states: bytes, pipe: Connection) -> None:
    """Entry of the process.

    Args:
        stack: trains a block.
        size: seeds in a block.
        blocks: this process's.
        states: their seeds', pickled.
        pipe: to the main process.
    """
    inside(lambda: _BlockProcess(SeedBlocks(stack, size), blocks, pickle.loads(states), pipe).run(), pipe)


class _BlockProcess:
    def __init__(self, trained: SeedBlocks, blocks: Sequence[Block], states: Sequence[TrainingState], pipe: Connection) -> None:
        self._blocks = trained
        self._seeds = range(len(states))
        self._pipe = pipe
        self._sending = threading.Lock()
        self._until: Sequence[int] = ()
        self._failed = False
        self._told: list[Counts] = []
        threading.Thread(target=self._show_life, daemon=True).start()
        self._tell(trained.start_blocks(blocks, states))

    def run(self) -> None:
        """Train until told to stop."""
        idle = False
        while True:
            # One that waits is woken by whatever is said to it, and by the end of the pipe.
            while self._pipe.poll(0.05 if idle or self._failed or not self._until else 0.0):
                word = pickle.loads(self._pipe.recv_bytes())
                if isinstance(word, Stop):
                    self._end()
                    return
                self._obey(word)
                idle = False
            if self._until and not self._failed:
                idle = not self._train()

    def _obey(self, word: Dates | Ask) -> None:
        match word:
            case Dates():
                self._until = word.until
            case Ask(what="weights"):
                self._send(Answer(self._blocks.weights(word.index)))
            case Ask():
                self._send(Answer(self._blocks.snapshot(word.index)))

    def _train(self) -> bool:
        """Train for a moment; whether anything happened."""
        try:
            events = self._blocks.advance(_SLICE, self._until)
        except A3CError as error:
            self._failed = True
            self._send(Failed(error))
            return False
        return self._tell(events)

    def _tell(self, events: Sequence[Event]) -> bool:
        counts = [self._blocks.counts(index) for index in self._seeds]
        if not events and counts == self._told:
            return False
        self._told = counts
        self._send(Trained(events, counts, self._blocks.first_step_taken()))
        return True

    def _end(self) -> None:
        for index in self._seeds:
            state, events = self._blocks.snapshot(index)
            weights, counts = self._blocks.weights(index), self._blocks.counts(index)
            self._send(Final(index, state, weights, counts, events, self._blocks.figures(index)))
        self._blocks.stop()

    def _send(self, message: Any) -> None:
        # Pickled here: a connection of its own accord would send tensors as open files, which end with this process.
        content = pickle.dumps(message)
        with self._sending:
            self._pipe.send_bytes(content)

    def _show_life(self) -> None:
        try:
            while True:
                time.sleep(_BEAT)
                self._send(Alive())
        except OSError:
            pass  # over
