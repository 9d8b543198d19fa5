"""Blocks of seeds in processes: each trains its seeds to the steps that are due; the main process evaluates and saves."""

import pickle
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, MessageEvent, Parallelism, TrainingSetup
from a3c_exp.parallelism.multiprocess.supervisor import Death
from a3c_exp.parallelism.multiprocess.worker_process import Failure
from a3c_exp.parallelism.seed_processes.blocks import SeedBlocks, deduplicate_messages, renumbered, split_into_blocks
from a3c_exp.parallelism.seed_processes.place import STOP_SECONDS, Place, ProcessGroup, ThisMachine
from a3c_exp.parallelism.seed_processes.worker_process import Answer, FinalState, ProgressReport, Request, main
from a3c_exp.system.errors import A3CError, WorkerError

_MAX_LOSSES = 3
"""How often a process may be lost in a row before it has come any further than the one before."""


def distribute_seeds(
    strategy: Parallelism, setup: TrainingSetup, processes: int, seed_block: int | None, place: Place | None = None
) -> Parallelism:
    """The parallelism that trains all seeds in these processes, in blocks of ``seed_block``: ``None`` makes as many blocks as
    processes. ``strategy`` trains as many seeds as it is given, stacked in one process. Without a ``place`` for the processes
    they are of this machine, and a single one is this one."""
    seeds = setup.num_seeds
    size = seed_block or -(-seeds // min(processes, seeds))
    if place is not None:
        return SeedProcesses(strategy, size, processes, place)
    if size == seeds:
        return strategy
    if min(processes, -(-seeds // size)) == 1:
        return SeedBlocks(strategy, size)
    return SeedProcesses(strategy, size, processes)


class SeedProcesses(Parallelism):
    """Several processes, each of which trains whole blocks of seeds. No process waits for another: a seed that has come to its
    due step waits for the main process to evaluate or save it, and so do those stacked with it; other blocks go on.

    Counts change when the events that led to them are returned, never earlier, so that a trainer sees both together. Where
    processes can be lost, so do states: a process that goes on for a lost one begins where the events ended that are known
    here, and no event is lost or doubled.
    """

    def __init__(self, strategy: Parallelism, block_size: int, processes: int, place: Place | None = None) -> None:
        self._strategy, self._block_size, self._processes = strategy, block_size, processes
        self._place: Place = place or ThisMachine()
        self._seeds: list[range] = []  # of each process
        self._states: list[TrainingState] = []  # the newest
        self._counts: dict[int, Counts] = {}
        self._resumable: set[int] = set()  # the seeds whose newest state is one to go on from
        self._finals: dict[int, FinalState] = {}
        self._sent: dict[int, Request] = {}  # the last request to train or to end
        self._reported: list[TrainingState] = []  # where a process that goes on for a lost one begins
        self._losses: dict[int, tuple[int, int]] = {}  # of each process: how many in a row, and after how many steps the last
        self._received: list[tuple[list[Event], Mapping[int, Counts], Mapping[int, TrainingState]]] = []
        self._answers: dict[int, Answer] = {}
        self._errors: list[A3CError] = []
        self._seen_messages: set[str] = set()
        self._has_stepped = self._stopped = False
        self._group: ProcessGroup | None = None

    def check(self, setup: TrainingSetup) -> None:
        self._strategy.check(setup)

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        self._budget, self._first_seed = setup.budget, setup.seed
        blocks = split_into_blocks(setup, self._block_size)
        shares = np.array_split(np.arange(len(blocks)), min(self._processes, len(blocks)))
        blocks_by_process = [blocks[share[0] : share[-1] + 1] for share in shares]
        self._seeds = [range(part[0].seeds.start, part[-1].seeds.stop) for part in blocks_by_process]
        self._states, self._reported = list(states), list(states)
        self._counts = {i: _counts_of(state) for i, state in enumerate(states)}

        def arguments(index: int) -> tuple[Any, ...]:
            pickled_states = pickle.dumps([self._reported[seed] for seed in self._seeds[index]])
            may_be_lost = self._place.loses_processes
            return self._strategy, self._block_size, blocks_by_process[index], pickled_states, may_be_lost

        self._group = self._place.group(main, arguments)
        try:
            for index in range(len(self._seeds)):
                self._group.start(index)
        except BaseException:
            self.stop()  # those that did start
            raise
        text = f"{len(states)} seeds in {len(blocks)} blocks of {self._block_size}, in {len(self._seeds)} processes"
        return [MessageEvent(text)]

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        for index, seeds in enumerate(self._seeds):
            request: Request = ("train_until", [until[seed] for seed in seeds])
            if self._place.loses_processes and all(self._budget_exhausted(self._counts[seed]) for seed in seeds):
                request = ("stop", None)  # others may wait for its core
            if self._sent.get(index) != request:
                self._sent[index] = request
                self._send(index, request)
        return self._events_within(timeout)

    def listen(self) -> Sequence[Event]:
        return self._events_within(0.0)

    def _events_within(self, timeout: float) -> Sequence[Event]:
        self._listen(timeout)
        self._raise_first_error()
        return self._pop_events()

    def counts(self, index: int = 0) -> Counts:
        return self._counts[index]

    def first_step_taken(self) -> bool:
        return self._has_stepped

    def weights(self, index: int = 0) -> Tensor:
        if index in self._finals:
            return self._finals[index].state.weights
        weights: Tensor | None = None if self._place.loses_processes else self._query("weights", index)
        if weights is None and not self._stopped:
            self._raise_first_error()  # older weights must not pass for the current ones
        return self._states[index].weights if weights is None else weights

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        events: Sequence[Event] = []
        can_resume = False  # its process is dead: what it has done since its last state is logged, and lost
        if self._place.loses_processes:
            events, can_resume = self._pop_events(), True  # to which the state that was reported with them belongs
        if index in self._finals:
            self._states[index], can_resume = self._finals[index].state, self._finals[index].can_resume
        elif not self._place.loses_processes and (answer := self._query("snapshot", index)) is not None:
            state, events, can_resume = answer
            self._states[index] = state
            self._receive(self._process_of(index), events, {index: _counts_of(state)})
        (self._resumable.add if can_resume else self._resumable.discard)(index)
        return self._states[index], [*events, *self._pop_events()]

    def can_resume(self, index: int = 0) -> bool:
        return index in self._resumable

    def stop(self) -> Sequence[Event]:
        if self._group is None or self._stopped:
            return []
        for index in list(self._group.processes):
            self._send(index, ("stop", None))
        deadline = time.monotonic() + STOP_SECONDS
        while self._group.processes and time.monotonic() < deadline and self._are_finals_missing():
            self._listen(0.05)
        for index, message in self._group.stop(max(1.0, deadline - time.monotonic())):
            self._handle_message(index, message)
        if self._are_finals_missing():
            text = f"a process did not end within {STOP_SECONDS:g} s and was killed. Try resume=RUN_DIR"
            self._errors.append(WorkerError(text))
        self._stopped = True
        events = self._pop_events()
        if self._are_finals_missing() and all(self._budget_exhausted(counts) for counts in self._counts.values()):
            self._raise_first_error()  # the budget is spent, but the weights are lost: the run has failed
        return events

    def summary(self, index: int = 0) -> dict[str, Any]:
        own = self._finals[index].summary if index in self._finals else {}
        return {**own, "processes": len(self._seeds), "seed_block": self._block_size}

    def _are_finals_missing(self) -> bool:
        """Whether states are: where processes can be lost, there are those that they reported."""
        return not self._place.loses_processes and len(self._finals) < len(self._states)

    def _budget_exhausted(self, counts: Counts) -> bool:
        return self._budget.fraction(counts.episodes, counts.env_steps, counts.updates) >= 1.0

    def _process_of(self, seed: int) -> int:
        return next(index for index, seeds in enumerate(self._seeds) if seed in seeds)

    def _send(self, index: int, request: Request) -> None:
        assert self._group is not None
        if index in self._group.processes:
            self._group.processes[index].send(request)

    def _query(self, kind: Literal["weights", "snapshot"], seed: int) -> Any:
        """A process's answer about one of its seeds; ``None`` if it is dead."""
        assert self._group is not None
        index = self._process_of(seed)
        self._answers.pop(index, None)
        self._send(index, (kind, seed - self._seeds[index].start))
        while index not in self._answers:
            if index not in self._group.processes:
                return None
            self._listen(0.05)  # bounded: a process without heartbeats is killed, and then it is gone
        return self._answers.pop(index).content

    def _listen(self, timeout: float) -> None:
        assert self._group is not None
        for index, message in self._group.listen(timeout):
            self._handle_message(index, message)
        for death, messages in self._group.deaths():
            for message in messages:
                self._handle_message(death.index, message)
            seeds = self._seeds[death.index]
            if all(seed in self._finals for seed in seeds):
                continue  # it was asked to end, and has
            if death.lost and self._goes_on_elsewhere(death):
                continue
            first, last = self._first_seed + seeds.start, self._first_seed + seeds.stop - 1
            which = f"seed {first}" if first == last else f"seeds {first} to {last}"
            text = (
                f"process {death.index}, which trained {which}, {death.cause}. Go on with resume=<run directory>: "
                f"its seeds from their last checkpoint, the other seeds from where they are{death.details}"
            )
            self._errors.append(WorkerError(text))

    def _goes_on_elsewhere(self, death: Death) -> bool:
        """Have another process go on for one that was lost, unless that has happened too often."""
        assert self._group is not None
        states = [self._reported[seed] for seed in self._seeds[death.index]]
        if all(self._budget_exhausted(_counts_of(state)) for state in states):
            return True  # by itself: it has done all that it had to do
        steps = sum(state.env_steps for state in states)
        losses, steps_before = self._losses.get(death.index, (0, steps))
        self._losses[death.index] = (losses + 1 if steps == steps_before else 1), steps
        if self._losses[death.index][0] > _MAX_LOSSES:
            return False
        self._sent.pop(death.index, None)
        self._group.start(death.index)
        text = f"process {death.index} {death.cause}: another one goes on for it, from step {steps:,} of its seeds"
        self._received.append(([MessageEvent(text)], {}, {}))
        return True

    def _handle_message(self, index: int, message: Any) -> None:
        first = self._seeds[index].start
        match message:
            case ProgressReport():
                self._has_stepped |= message.first_step_taken
                states = {first + i: state for i, state in enumerate(message.states)}
                for seed, state in states.items():
                    self._reported[seed] = state
                counts = {first + i: counts for i, counts in enumerate(message.counts)}
                self._receive(index, message.events, counts, states)
            case MessageEvent():
                self._received.append(([message], {}, {}))
            case Answer():
                self._answers[index] = message
            case Failure():
                self._errors.append(message.error)
            case FinalState():
                self._finals[first + message.index] = message
                self._receive(index, message.events, {first + message.index: _counts_of(message.state)})

    def _receive(
        self,
        index: int,
        events: Sequence[Event],
        counts: Mapping[int, Counts],
        states: Mapping[int, TrainingState] = MappingProxyType({}),
    ) -> None:
        new = deduplicate_messages(events, self._seen_messages)
        self._received.append((renumbered(new, self._seeds[index].start), counts, states))

    def _pop_events(self) -> list[Event]:
        received, self._received = self._received, []
        for _, counts, states in received:
            self._counts.update(counts)
            for seed, state in states.items():
                self._states[seed] = state
        return [event for events, _, _ in received for event in events]

    def _raise_first_error(self) -> None:
        if self._errors:
            raise self._errors[0]


def _counts_of(state: TrainingState) -> Counts:
    return Counts(state.env_steps, state.updates, state.episodes)
