"""Seeds that train in stacks of a set size, so that it makes no difference which process trains a stack.

How many rows a batched operation has can change the last bit of each. So seeds are stacked in blocks of ``seed_block``, the
last padded with idle trainings: a block is the same computation wherever it is done.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, MessageEvent, Parallelism, TrainingSetup

NO_DUE_STEP = 2**62


class Block(NamedTuple):
    """Seeds that are stacked together."""

    setup: TrainingSetup  # of ``seed_block`` seeds, the first of which are real
    seeds: range  # which of the run's seeds those are


def split_into_blocks(setup: TrainingSetup, block_size: int) -> list[Block]:
    seeds = [range(setup.num_seeds)[first : first + block_size] for first in range(0, setup.num_seeds, block_size)]
    return [Block(replace(setup, seed=setup.seed + own.start, num_seeds=block_size), own) for own in seeds]


def pad_with_idle(block: Block, states: Sequence[TrainingState]) -> list[TrainingState]:
    """States for all of a block: those of its seeds, and of trainings whose budget is spent before they begin."""
    budget, like = block.setup.budget, states[0]
    idle = TrainingState.initial(like.weights, len(like.optimizer_state), len(like.rounds))
    idle.updates, idle.env_steps = budget.max_updates or 0, budget.max_env_steps or 0
    idle.episodes = budget.max_episodes or 0
    return [*states, *(idle for _ in range(block.setup.num_seeds - len(states)))]


class SeedBlocks(Parallelism):
    """Blocks of ``block_size`` seeds in this process, one after another. Each has a copy of ``strategy``, which trains several
    seeds in one process, and only while ``advance`` runs."""

    def __init__(self, strategy: Parallelism, block_size: int) -> None:
        self._strategy, self._block_size = strategy, block_size
        self._stacks: list[tuple[Parallelism, range]] = []  # each block's, and its seeds
        self._current = 0

    def check(self, setup: TrainingSetup) -> None:
        self._strategy.check(setup)

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        return self.start_blocks(split_into_blocks(setup, self._block_size), states)

    def start_blocks(self, blocks: Sequence[Block], states: Sequence[TrainingState]) -> Sequence[Event]:
        """As ``start``, with some of the training's blocks and the ``states`` of their seeds, which ``index`` then counts."""
        events: list[Event] = []
        first = 0
        try:
            for block in blocks:
                seeds = range(first, first + len(block.seeds))
                stack = copy.deepcopy(self._strategy)
                started = stack.start(block.setup, pad_with_idle(block, states[seeds.start : seeds.stop]))
                self._stacks.append((stack, seeds))  # one that did not start has cleaned up after itself
                events += renumbered(started, seeds.start)
                first = seeds.stop
        except BaseException:
            self.stop()
            raise
        return deduplicate_messages(events)

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        """Each block that can train does so for its share of the time; one with a seed at its due step waits."""
        events: list[Event] = []
        deadline, count = time.monotonic() + timeout, len(self._stacks)
        for _ in range(count):
            self._current = (self._current + 1) % count
            stack, seeds = self._stacks[self._current]
            due_steps = [*(until[index] for index in seeds), *[NO_DUE_STEP] * (self._block_size - len(seeds))]
            share = max(0.0, deadline - time.monotonic()) if count == 1 else timeout / count
            events += renumbered(stack.advance(share, due_steps), seeds.start)
        return deduplicate_messages(events)

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        stack, seeds = self._stack_of(index)
        return stack.counts(index - seeds.start)

    def first_step_taken(self) -> bool:
        return any(stack.first_step_taken() for stack, _ in self._stacks)

    def weights(self, index: int = 0) -> Tensor:
        stack, seeds = self._stack_of(index)
        return stack.weights(index - seeds.start)

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        stack, seeds = self._stack_of(index)
        state, events = stack.snapshot(index - seeds.start)
        return state, renumbered(events, seeds.start)

    def can_resume(self, index: int = 0) -> bool:
        stack, seeds = self._stack_of(index)
        return stack.can_resume(index - seeds.start)

    def stop(self) -> Sequence[Event]:
        return [event for stack, seeds in self._stacks for event in renumbered(stack.stop(), seeds.start)]

    def summary(self, index: int = 0) -> dict[str, Any]:
        stack, seeds = self._stack_of(index)
        return {**stack.summary(index - seeds.start), "processes": 1, "seed_block": self._block_size}

    def _stack_of(self, index: int) -> tuple[Parallelism, range]:
        return next((stack, seeds) for stack, seeds in self._stacks if index in seeds)


def renumbered(events: Sequence[Event], first_seed: int) -> list[Event]:
    """The events of a block whose first seed has the number ``first_seed`` among others."""
    return [event if isinstance(event, MessageEvent) else replace(event, index=event.index + first_seed) for event in events]


def deduplicate_messages(events: Sequence[Event], seen: set[str] | None = None) -> list[Event]:
    """The events without messages that another block has sent already; ``seen`` remembers them from call to call."""
    seen = set() if seen is None else seen
    unique: list[Event] = []
    for event in events:
        if not isinstance(event, MessageEvent):
            unique.append(event)
        elif event.text not in seen:
            unique.append(event)
            seen.add(event.text)
    return unique
