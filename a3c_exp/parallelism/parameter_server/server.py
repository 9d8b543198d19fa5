"""The main agent: one process that owns weights and optimiser and applies what workers report, in order of arrival."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, TrainingStats
from a3c_exp.parallelism.base import StatsEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, notify
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl, run_in_worker
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState, StateField, StateWriter, Transaction
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField

_IDLE_SECONDS = 0.1
"""How long it waits for a ring before it shows life and looks around."""


class OnStale(StrEnum):
    """What becomes of a gradient whose policy lag exceeds the bound."""

    drop = "drop"
    downweight = "downweight"


@dataclass(frozen=True)
class StalenessPolicy:
    """What the main agent does about gradients that come from old weights.

    Attributes:
        max_lag: the bound, in updates; ``None`` applies every gradient as it is.
        on_stale: what becomes of one beyond it: it is dropped, or multiplied by ``max_lag / lag``.
        reset_after_lag: a worker whose gradient had a larger lag than this is asked to begin a new episode; ``None``: never.
    """

    max_lag: int | None = None
    on_stale: OnStale = OnStale.drop
    reset_after_lag: int | None = None


def main(
    setup: TrainingSetup,
    staleness_policy: StalenessPolicy,
    slot: int,
    double_buffer: DoubleBufferedState,
    gradient_slots: GradientSlots,
    workers_by_process: Sequence[Sequence[int]],
    counters: SharedCounters,
    gradients_ready: Sequence[Connection],
    weights_ready: Sequence[Connection],
    pipe: Connection,
) -> None:
    """Entry of the process."""
    run_in_worker(
        lambda: ServerProcess(
            setup,
            staleness_policy,
            slot,
            double_buffer,
            gradient_slots,
            workers_by_process,
            counters,
            gradients_ready,
            weights_ready,
            pipe,
        ).run(),
        pipe,
    )


@dataclass(frozen=True)
class _GradientOutcome:
    """What became of a gradient, to be told once it counts."""

    worker: int
    lag: int
    applied: bool
    downweighted: bool
    steps: int
    truncated: int
    window_stats: NDArray[np.float32]


class ServerProcess:
    """Serves letters one after the other. Every gradient is settled exactly once, whoever is killed when.

    Args:
        setup: what is trained.
        staleness_policy: what becomes of old gradients.
        slot: its row in the ledger.
        double_buffer: weights, optimiser state and books.
        gradient_slots: one a worker.
        workers_by_process: the worker numbers of each worker process.
        counters: shared counts.
        gradients_ready: a bell of each worker process, which it rings when letters are in.
        weights_ready: a bell of each worker process, to ring when answers are.
        pipe: to the main process.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        staleness_policy: StalenessPolicy,
        slot: int,
        double_buffer: DoubleBufferedState,
        gradient_slots: GradientSlots,
        workers_by_process: Sequence[Sequence[int]],
        counters: SharedCounters,
        gradients_ready: Sequence[Connection],
        weights_ready: Sequence[Connection],
        pipe: Connection,
    ) -> None:
        self._control = ProcessControl(slot, counters, pipe)
        self._setup, self._counters, self._row = setup, counters, self._control.row
        self._staleness_policy = staleness_policy
        self._state_writer = StateWriter(double_buffer)
        self._gradient_slots = gradient_slots
        self._fields = gradient_slots.fields.numpy()
        self._window_stats = gradient_slots.window_stats.numpy()
        self._process_of_worker = {worker: number for number, home in enumerate(workers_by_process) for worker in home}
        self._listener = WakeupListener(gradients_ready, pipe)
        self._weights_ready = weights_ready
        self._learning_rates = [setup.lr(setup.seed, worker) for worker in range(setup.workers)]
        self._scaled = torch.empty_like(gradient_slots.gradients[0]) if staleness_policy.max_lag is not None else None
        self._stats = TrainingStats()
        self._next_stats_time = 0.0

    def run(self) -> None:
        """Serve until the ledger is closed and every letter is answered, or the main process is gone."""
        self._publish_counters()  # a predecessor may have died between a commit and this
        while not self._control.parent_exited():
            self._control.poll_commands()
            waiting = self._gradient_slots.pending().tolist()
            if waiting:
                self._row[CounterColumn.max_queue_length] = max(self._row[CounterColumn.max_queue_length], len(waiting))
                for home, letters in groupby(waiting, self._process_of_worker.__getitem__):
                    self._serve(list(letters))
                    notify(self._weights_ready[home])
                    if self._counters.command is Command.pause:
                        break  # the rest waits on
            elif self._counters.command is Command.close:
                break
            else:
                self._listener.wait(_IDLE_SECONDS)
            now = time.monotonic()
            if now >= self._next_stats_time:
                self._send_stats(now)
        self._send_stats(time.monotonic())

    def _serve(self, workers: Sequence[int]) -> None:
        """Settle these workers' letters in this order, in one transaction, and answer each with the weights that come after its
        own gradient."""
        notes = [self._fields[worker].tolist() for worker in workers]
        draft, base = self._state_writer.begin(), self._counters.base_updates
        settled: list[_GradientOutcome] = []
        for worker, note in zip(workers, notes, strict=True):
            # A gradient that is settled, but was not answered: a predecessor died between the two.
            if note[SlotField.has_gradient] and draft.counters[len(StateField) + worker] < note[SlotField.sent]:
                settled.append(self._apply(draft, worker, note))
            self._gradient_slots.weights[worker].copy_(draft.weights)
            self._fields[worker, SlotField.answered_at] = base + draft.counters[StateField.updates]
        draft.commit()
        self._publish_counters()
        for worker, note in zip(workers, notes, strict=True):
            self._fields[worker, SlotField.answered] = note[SlotField.sent]
        self._control.heartbeat()
        for one in settled:
            self._update_stats(one)

    def _apply(self, transaction: Transaction, worker: int, fields: Sequence[int]) -> "_GradientOutcome":
        """Apply a worker's gradient, or drop it."""
        books = transaction.counters
        updates = self._counters.base_updates + int(books[StateField.updates])
        lag, bound = updates - fields[SlotField.pulled_at], self._staleness_policy.max_lag
        stale = bound is not None and lag > bound
        drop = stale and self._staleness_policy.on_stale is OnStale.drop
        books[len(StateField) + worker] = fields[SlotField.sent]
        books[StateField.env_steps] += fields[SlotField.steps]
        if drop:
            books[StateField.dropped] += 1
        else:
            gradient = self._gradient_slots.gradients[worker]
            if stale:
                assert bound is not None
                # Beside the letter, not in it: if this process dies, its replacement finds the gradient as it was sent.
                gradient = torch.mul(gradient, bound / lag, out=self._scaled)
                books[StateField.downweighted] += 1
            weights, state = transaction.writable_state()
            self._setup.optimizer.step(
                weights, gradient, state, updates, self._learning_rates[worker] * self._lr_factor(transaction)
            )
            books[StateField.updates] += 1
        figures = self._window_stats[worker].copy()
        return _GradientOutcome(
            worker, lag, not drop, stale and not drop, fields[SlotField.steps], fields[SlotField.truncated], figures
        )

    def _lr_factor(self, transaction: Transaction) -> float:
        shared, own = self._counters, transaction.counters
        env_steps = shared.base_steps + int(own[StateField.env_steps])
        updates = shared.base_updates + int(own[StateField.updates])
        return self._setup.lr_factor(shared.episodes(), env_steps, updates)

    def _update_stats(self, outcome: "_GradientOutcome") -> None:
        worker, lag = outcome.worker, outcome.lag
        if outcome.applied:
            self._stats.add_update(outcome.window_stats, lag)
        self._stats.dropped += not outcome.applied
        self._stats.downweighted += outcome.downweighted
        self._stats.count_windows([worker], [outcome.steps], outcome.truncated)
        after = self._staleness_policy.reset_after_lag
        if after is not None and lag > after:
            self._fields[worker, SlotField.resets_requested_by_server] += 1

    def _publish_counters(self) -> None:
        """Put into the ledger what budgets are reckoned from; before the answer, which gives reservations back."""
        books = self._state_writer.counters
        self._row[CounterColumn.pushes] = books[StateField.updates]
        self._row[CounterColumn.steps_done] = books[StateField.env_steps]

    def _send_stats(self, now: float) -> None:
        if self._stats.worker_windows.any():
            self._control.send(StatsEvent(self._stats))
            self._stats = TrainingStats()
        self._next_stats_time = now + REPORT_SECONDS
