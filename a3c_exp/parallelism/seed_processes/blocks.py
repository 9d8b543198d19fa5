"""Seeds that train side by side in stacks of a set size, so that it makes no difference which process a stack lives in.

How many rows a batched operation has can change the last bit of each. So seeds are stacked in blocks of ``seed_block``, the
first B seeds in the first and so on; the last is filled up with trainings that have nothing to do. A block is the same
computation wherever it is done, and whole blocks are what processes divide among themselves.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, Notice, Parallelism, Task

NEVER = 2**62


class Stack(Parallelism, Protocol):
    """A parallelism that trains several seeds in one process, and only while ``advance`` runs."""

    kind: str


@dataclass(frozen=True)
class Block:
    """Seeds that are stacked together.

    Attributes:
        task: of ``seed_block`` seeds, the first of which are real.
        indices: which of the run's seeds those are.
    """

    task: Task
    indices: range


def blocks_of(task: Task, size: int) -> list[Block]:
    """The task's seeds in blocks of ``size``."""
    return [
        Block(
            replace(task, seed=task.seed + first, num_seeds=size),
            range(first, min(first + size, task.num_seeds)),
        )
        for first in range(0, task.num_seeds, size)
    ]


def with_idle(block: Block, states: Sequence[TrainingState]) -> list[TrainingState]:
    """States for all of a block: those of its seeds, and of trainings that have spent their budget before they begin."""
    budget, like = block.task.budget, states[0]
    idle = TrainingState.initial(like.weights, len(like.optimizer_state), len(like.rounds))
    idle.updates, idle.env_steps = budget.max_updates or 0, budget.max_env_steps or 0
    idle.episodes = budget.max_episodes or 0
    return [*states, *(idle for _ in range(block.task.num_seeds - len(states)))]


class SeedBlocks:
    """Blocks of seeds in this process, one block after another.

    Args:
        stack: trains one block; a copy of it is made for each.
        size: seeds in a block.
    """

    def __init__(self, stack: Stack, size: int) -> None:
        self._stack = stack
        self._size = size
        self._stacks: list[Stack] = []
        self._blocks: list[Block] = []
        self._turn = 0

    def check(self, task: Task) -> None:
        self._stack.check(task)

    def start(self, task: Task, states: Sequence[TrainingState]) -> Sequence[Event]:
        return self.start_blocks(blocks_of(task, self._size), states)

    def start_blocks(self, blocks: Sequence[Block], states: Sequence[TrainingState]) -> Sequence[Event]:
        """As ``start``, with some of a task's blocks; ``states`` are those of their seeds, in order.

        What is asked by ``index`` from then on counts these seeds: 0 is the first of the first block.
        """
        events: list[Event] = []
        self._blocks, first = [], 0
        try:
            for block in blocks:
                own = range(first, first + len(block.indices))
                stack = copy.deepcopy(self._stack)
                self._blocks.append(Block(block.task, own))
                self._stacks.append(stack)
                events += self._named(stack.start(block.task, with_idle(block, states[own.start : own.stop])), own)
                first = own.stop
        except BaseException:
            self._stacks = self._stacks[: len(self._blocks) - 1]  # the last has cleaned up after itself
            self.stop()
            raise
        return _said_once(events)

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        """Each block that can train does so for its share of the time; one of whose seeds has come to its date waits."""
        events: list[Event] = []
        deadline = time.monotonic() + timeout
        for _ in self._stacks:
            self._turn = (self._turn + 1) % len(self._stacks)
            own = self._blocks[self._turn].indices
            dates = [until[index] for index in own]
            idle = self._blocks[self._turn].task.num_seeds - len(own)
            share = max(0.0, deadline - time.monotonic()) if len(self._stacks) == 1 else timeout / len(self._stacks)
            events += self._named(self._stacks[self._turn].advance(share, [*dates, *[NEVER] * idle]), own)
        return _said_once(events)

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        stack, inside = self._place(index)
        return stack.counts(inside)

    def first_step_taken(self) -> bool:
        return any(stack.first_step_taken() for stack in self._stacks)

    def weights(self, index: int = 0) -> Tensor:
        stack, inside = self._place(index)
        return stack.weights(inside)

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        stack, inside = self._place(index)
        state, events = stack.snapshot(inside)
        return state, self._named(events, self._blocks[self._stacks.index(stack)].indices)

    def stop(self) -> Sequence[Event]:
        return [
            event
            for stack, block in zip(self._stacks, self._blocks, strict=False)
            for event in self._named(stack.stop(), block.indices)
        ]

    def figures(self, index: int = 0) -> dict[str, Any]:
        stack, inside = self._place(index)
        return {**stack.figures(inside), "processes": 1, "seed_block": self._size}

    def _place(self, index: int) -> tuple[Stack, int]:
        number = next(number for number, block in enumerate(self._blocks) if index in block.indices)
        return self._stacks[number], index - self._blocks[number].indices.start

    @staticmethod
    def _named(events: Sequence[Event], own: range) -> list[Event]:
        return [renumbered(event, own.start) for event in events]


def renumbered(event: Event, first: int) -> Event:
    """An event of a block whose first seed has the number ``first`` among others."""
    return event if isinstance(event, Notice) else replace(event, index=event.index + first)


def _said_once(events: Sequence[Event]) -> list[Event]:
    """Blocks say the same of what concerns all of them."""
    told: set[str] = set()
    kept = []
    for event in events:
        if isinstance(event, Notice):
            if event.text in told:
                continue
            told.add(event.text)
        kept.append(event)
    return kept
