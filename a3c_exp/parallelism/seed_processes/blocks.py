"""Seeds that train in stacks of a set size, so that it makes no difference which process trains a stack.

How many rows a batched operation has can change the last bit of each. So seeds are stacked in blocks of ``seed_block``, the
first B seeds in the first and so on; the last is padded with idle trainings. A block is the same computation wherever it is
done, and processes divide whole blocks among themselves.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, MessageEvent, Parallelism, TrainingSetup

NO_DUE_STEP = 2**62


class SeedBlockStrategy(Parallelism, Protocol):
    """A parallelism that trains several seeds in one process, and only while ``advance`` runs."""

    kind: str


@dataclass(frozen=True)
class Block:
    """Seeds that are stacked together.

    Attributes:
        setup: of ``seed_block`` seeds, the first of which are real.
        indices: which of the run's seeds those are.
    """

    setup: TrainingSetup
    indices: range


def split_into_blocks(setup: TrainingSetup, block_size: int) -> list[Block]:
    """The training's seeds in blocks of ``block_size``."""
    return [
        Block(
            replace(setup, seed=setup.seed + first, num_seeds=block_size),
            range(first, min(first + block_size, setup.num_seeds)),
        )
        for first in range(0, setup.num_seeds, block_size)
    ]


def pad_with_idle(block: Block, states: Sequence[TrainingState]) -> list[TrainingState]:
    """States for all of a block: those of its seeds, and of trainings whose budget is spent before they begin."""
    budget, like = block.setup.budget, states[0]
    idle = TrainingState.initial(like.weights, len(like.optimizer_state), len(like.rounds))
    idle.updates, idle.env_steps = budget.max_updates or 0, budget.max_env_steps or 0
    idle.episodes = budget.max_episodes or 0
    return [*states, *(idle for _ in range(block.setup.num_seeds - len(states)))]


class SeedBlocks(Parallelism):
    """Blocks of seeds in this process, one block after another.

    Args:
        strategy: trains one block; a copy of it is made for each.
        block_size: seeds in a block.
    """

    def __init__(self, strategy: SeedBlockStrategy, block_size: int) -> None:
        self._strategy = strategy
        self._block_size = block_size
        self._strategies: list[SeedBlockStrategy] = []
        self._blocks: list[Block] = []
        self._current_block = 0

    def check(self, setup: TrainingSetup) -> None:
        self._strategy.check(setup)

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        return self.start_blocks(split_into_blocks(setup, self._block_size), states)

    def start_blocks(self, blocks: Sequence[Block], states: Sequence[TrainingState]) -> Sequence[Event]:
        """As ``start``, with some of the training's blocks; ``states`` are those of their seeds, in order.

        From then on ``index`` counts these seeds: 0 is the first of the first block.
        """
        events: list[Event] = []
        self._blocks, first = [], 0
        try:
            for block in blocks:
                seeds = range(first, first + len(block.indices))
                stack = copy.deepcopy(self._strategy)
                self._blocks.append(Block(block.setup, seeds))
                self._strategies.append(stack)
                events += self._renumber(
                    stack.start(block.setup, pad_with_idle(block, states[seeds.start : seeds.stop])), seeds
                )
                first = seeds.stop
        except BaseException:
            self._strategies = self._strategies[: len(self._blocks) - 1]  # the last has cleaned up after itself
            self.stop()
            raise
        return deduplicate_messages(events)

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        """Each block that can train does so for its share of the time; one with a seed at its due step waits."""
        events: list[Event] = []
        deadline = time.monotonic() + timeout
        for _ in self._strategies:
            self._current_block = (self._current_block + 1) % len(self._strategies)
            seeds = self._blocks[self._current_block].indices
            due_steps = [until[index] for index in seeds]
            idle = self._blocks[self._current_block].setup.num_seeds - len(seeds)
            share = max(0.0, deadline - time.monotonic()) if len(self._strategies) == 1 else timeout / len(self._strategies)
            events += self._renumber(
                self._strategies[self._current_block].advance(share, [*due_steps, *[NO_DUE_STEP] * idle]), seeds
            )
        return deduplicate_messages(events)

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        stack, inside = self._locate(index)
        return stack.counts(inside)

    def first_step_taken(self) -> bool:
        return any(stack.first_step_taken() for stack in self._strategies)

    def weights(self, index: int = 0) -> Tensor:
        stack, inside = self._locate(index)
        return stack.weights(inside)

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        stack, inside = self._locate(index)
        state, events = stack.snapshot(inside)
        return state, self._renumber(events, self._blocks[self._strategies.index(stack)].indices)

    def can_resume(self, index: int = 0) -> bool:
        stack, inside = self._locate(index)
        return stack.can_resume(inside)

    def stop(self) -> Sequence[Event]:
        return [
            event
            for stack, block in zip(self._strategies, self._blocks, strict=False)
            for event in self._renumber(stack.stop(), block.indices)
        ]

    def summary(self, index: int = 0) -> dict[str, Any]:
        stack, inside = self._locate(index)
        return {**stack.summary(inside), "processes": 1, "seed_block": self._block_size}

    def _locate(self, index: int) -> tuple[SeedBlockStrategy, int]:
        number = next(number for number, block in enumerate(self._blocks) if index in block.indices)
        return self._strategies[number], index - self._blocks[number].indices.start

    @staticmethod
    def _renumber(events: Sequence[Event], seeds: range) -> list[Event]:
        return [renumbered(event, seeds.start) for event in events]


def renumbered(event: Event, first_seed: int) -> Event:
    """An event of a block whose first seed has the number ``first_seed`` among others."""
    return event if isinstance(event, MessageEvent) else replace(event, index=event.index + first_seed)


def deduplicate_messages(events: Sequence[Event], seen: set[str] | None = None) -> list[Event]:
    """The events without messages that another block has sent already; ``seen`` remembers them from call to call."""
    seen = set() if seen is None else seen
    unique: list[Event] = []
    for event in events:
        if not isinstance(event, MessageEvent):
            unique.append(event)
        elif event.text not in seen:
            seen.add(event.text)
            unique.append(event)
    return unique
