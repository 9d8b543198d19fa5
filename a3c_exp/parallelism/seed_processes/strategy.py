"""Blocks of seeds in processes: each trains its seeds to the steps that are due; the main process evaluates and saves."""

import pickle
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, MessageEvent, Parallelism, TrainingSetup
from a3c_exp.parallelism.multiprocess.supervisor import Supervisor
from a3c_exp.parallelism.multiprocess.worker_process import Failure
from a3c_exp.parallelism.seed_processes.blocks import SeedBlocks, deduplicate_messages, renumbered, split_into_blocks
from a3c_exp.parallelism.seed_processes.worker_process import Answer, FinalState, ProgressReport, Request, main
from a3c_exp.system.errors import A3CError, WorkerError

HEARTBEAT_TIMEOUT = 60.0  # seconds without a heartbeat after which a process counts as dead
STOP_SECONDS = 20.0  # how long processes may take to end their round and send their state, before they are killed


def distribute_seeds(strategy: Parallelism, setup: TrainingSetup, processes: int, seed_block: int | None) -> Parallelism:
    """The parallelism that trains all seeds in these processes (1 is this one), in blocks of ``seed_block``: ``None`` makes as
    many blocks as processes. ``strategy`` trains as many seeds as it is given, stacked in one process."""
    seeds = setup.num_seeds
    size = seed_block or -(-seeds // min(processes, seeds))
    if size == seeds:
        return strategy
    if min(processes, -(-seeds // size)) == 1:
        return SeedBlocks(strategy, size)
    return SeedProcesses(strategy, size, processes)


class SeedProcesses(Parallelism):
    """Several processes, each of which trains whole blocks of seeds. No process waits for another: a seed that has come to its
    due step waits for the main process to evaluate or save it, and so do those stacked with it; other blocks go on.

    Counts change when the events that led to them are returned, never earlier, so that a trainer sees both together.
    """

    def __init__(self, strategy: Parallelism, block_size: int, processes: int) -> None:
        self._strategy, self._block_size, self._processes = strategy, block_size, processes
        self._seeds: list[range] = []  # of each process
        self._states: list[TrainingState] = []  # the newest
        self._counts: dict[int, Counts] = {}
        self._resumable: set[int] = set()  # the seeds whose newest state is one to go on from
        self._finals: dict[int, FinalState] = {}
        self._sent_due_steps: dict[int, Sequence[int]] = {}
        self._received: list[tuple[list[Event], dict[int, Counts]]] = []
        self._answers: dict[int, Answer] = {}
        self._errors: list[A3CError] = []
        self._seen_messages: set[str] = set()
        self._has_stepped = self._stopped = False
        self._supervisor: Supervisor | None = None

    def check(self, setup: TrainingSetup) -> None:
        self._strategy.check(setup)

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        self._budget, self._first_seed = setup.budget, setup.seed
        blocks = split_into_blocks(setup, self._block_size)
        shares = np.array_split(np.arange(len(blocks)), min(self._processes, len(blocks)))
        blocks_by_process = [blocks[share[0] : share[-1] + 1] for share in shares]
        self._seeds = [range(part[0].seeds.start, part[-1].seeds.stop) for part in blocks_by_process]
        self._states = list(states)
        self._counts = {i: _counts_of(state) for i, state in enumerate(states)}
        pickled_states = [pickle.dumps([states[seed] for seed in seeds]) for seeds in self._seeds]
        arguments = [(self._strategy, self._block_size, *own) for own in zip(blocks_by_process, pickled_states, strict=True)]
        self._supervisor = Supervisor(main, arguments.__getitem__, "forkserver", HEARTBEAT_TIMEOUT)
        try:
            for index in range(len(self._seeds)):
                self._supervisor.start(index)
        except BaseException:
            self.stop()  # those that did start
            raise
        text = f"{len(states)} seeds in {len(blocks)} blocks of {self._block_size}, in {len(self._seeds)} processes"
        return [MessageEvent(text)]

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        for index, seeds in enumerate(self._seeds):
            due_steps = [until[seed] for seed in seeds]
            if self._sent_due_steps.get(index) != due_steps:
                self._sent_due_steps[index] = due_steps
                self._send(index, ("train_until", due_steps))
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
        weights: Tensor | None = self._query("weights", index)
        if weights is None and not self._stopped:
            self._raise_first_error()  # older weights must not pass for the current ones
        return self._states[index].weights if weights is None else weights

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        can_resume = False  # its process is dead: what it has done since its last state is logged, and lost
        if index in self._finals:
            self._states[index], can_resume = self._finals[index].state, self._finals[index].can_resume
        elif (answer := self._query("snapshot", index)) is not None:
            state, events, can_resume = answer
            self._states[index] = state
            self._receive(self._process_of(index), events, {index: _counts_of(state)})
        (self._resumable.add if can_resume else self._resumable.discard)(index)
        return self._states[index], self._pop_events()

    def can_resume(self, index: int = 0) -> bool:
        return index in self._resumable

    def stop(self) -> Sequence[Event]:
        if self._supervisor is None or self._stopped:
            return []
        for index in list(self._supervisor.processes):
            self._send(index, ("stop", None))
        deadline = time.monotonic() + STOP_SECONDS
        while self._supervisor.processes and time.monotonic() < deadline and len(self._finals) < len(self._states):
            self._listen(0.05)
        for index, message in self._supervisor.stop(max(1.0, deadline - time.monotonic())):
            self._handle_message(index, message)
        if len(self._finals) < len(self._states):
            text = f"a process did not end within {STOP_SECONDS:g} s and was killed. Try resume=RUN_DIR"
            self._errors.append(WorkerError(text))
        self._stopped = True
        events = self._pop_events()
        if len(self._finals) < len(self._states) and all(self._budget_exhausted(counts) for counts in self._counts.values()):
            self._raise_first_error()  # the budget is spent, but the weights are lost: the run has failed
        return events

    def summary(self, index: int = 0) -> dict[str, Any]:
        own = self._finals[index].summary if index in self._finals else {}
        return {**own, "processes": len(self._seeds), "seed_block": self._block_size}

    def _budget_exhausted(self, counts: Counts) -> bool:
        return self._budget.fraction(counts.episodes, counts.env_steps, counts.updates) >= 1.0

    def _process_of(self, seed: int) -> int:
        return next(index for index, seeds in enumerate(self._seeds) if seed in seeds)

    def _send(self, index: int, request: Request) -> None:
        assert self._supervisor is not None
        if index in self._supervisor.processes:
            self._supervisor.processes[index].send(request)

    def _query(self, kind: Literal["weights", "snapshot"], seed: int) -> Any:
        """A process's answer about one of its seeds; ``None`` if it is dead."""
        assert self._supervisor is not None
        index = self._process_of(seed)
        self._answers.pop(index, None)
        self._send(index, (kind, seed - self._seeds[index].start))
        while index not in self._answers:
            if index not in self._supervisor.processes:
                return None
            self._listen(0.05)  # bounded: a process without heartbeats is killed, and then it is gone
        return self._answers.pop(index).content

    def _listen(self, timeout: float) -> None:
        assert self._supervisor is not None
        for index, message in self._supervisor.listen(timeout):
            self._handle_message(index, message)
        for death, messages in self._supervisor.deaths():
            for message in messages:
                self._handle_message(death.index, message)
            seeds = self._seeds[death.index]
            if all(seed in self._finals for seed in seeds):
                continue  # it was asked to end, and has
            first, last = self._first_seed + seeds.start, self._first_seed + seeds.stop - 1
            which = f"seed {first}" if first == last else f"seeds {first} to {last}"
            text = (
                f"process {death.index}, which trained {which}, {death.cause}. Go on with resume=<run directory>: "
                f"its seeds from their last checkpoint, the other seeds from where they are{death.details}"
            )
            self._errors.append(WorkerError(text))

    def _handle_message(self, index: int, message: Any) -> None:
        first = self._seeds[index].start
        match message:
            case ProgressReport():
                self._has_stepped |= message.first_step_taken
                self._receive(index, message.events, {first + i: counts for i, counts in enumerate(message.counts)})
            case Answer():
                self._answers[index] = message
            case Failure():
                self._errors.append(message.error)
            case FinalState():
                self._finals[first + message.index] = message
                self._receive(index, message.events, {first + message.index: _counts_of(message.state)})

    def _receive(self, index: int, events: Sequence[Event], counts: dict[int, Counts]) -> None:
        new = deduplicate_messages(events, self._seen_messages)
        self._received.append((renumbered(new, self._seeds[index].start), counts))

    def _pop_events(self) -> list[Event]:
        received, self._received = self._received, []
        for _, counts in received:
            self._counts.update(counts)
        return [event for events, _ in received for event in events]

    def _raise_first_error(self) -> None:
        if self._errors:
            raise self._errors[0]


def _counts_of(state: TrainingState) -> Counts:
    return Counts(state.env_steps, state.updates, state.episodes)
