"""The server process: it owns weights and optimizer state and applies workers' gradients in order of arrival."""

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
"""How long the server waits to be woken before it shows a heartbeat and looks itself."""


class OnStale(StrEnum):
    """What becomes of a gradient whose policy lag exceeds the bound."""

    drop = "drop"
    downweight = "downweight"


@dataclass(frozen=True)
class StalenessPolicy:
    """What the server does about gradients that come from old weights.

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
    """What became of a gradient, to be counted once it is committed."""

    worker: int
    lag: int
    applied: bool
    downweighted: bool
    steps: int
    truncated: int
    window_stats: NDArray[np.float32]


class ServerProcess:
    """Serves requests one after the other. Every gradient is settled exactly once, whichever process is killed when.

    Args:
        setup: what is trained.
        staleness_policy: what becomes of old gradients.
        slot: its row of the shared counters.
        double_buffer: weights, optimizer state and counters.
        gradient_slots: one for each worker.
        workers_by_process: the worker numbers of each worker process.
        counters: the shared counters.
        gradients_ready: of each worker process, which wakes the server when it has sent requests.
        weights_ready: of each worker process, to wake it when its requests are answered.
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
        self._process_of_worker = {worker: process for process, workers in enumerate(workers_by_process) for worker in workers}
        self._listener = WakeupListener(gradients_ready, pipe)
        self._weights_ready = weights_ready
        self._learning_rates = [setup.lr(setup.seed, worker) for worker in range(setup.workers)]
        self._scaled = torch.empty_like(gradient_slots.gradients[0]) if staleness_policy.max_lag is not None else None
        self._stats = TrainingStats()
        self._next_stats_time = 0.0

    def run(self) -> None:
        """Serve until the command is close and every request is answered, or the main process is gone."""
        self._publish_counters()  # a predecessor may have died between a commit and this
        while not self._control.parent_exited():
            self._control.poll_commands()
            pending = self._gradient_slots.pending().tolist()
            if pending:
                self._row[CounterColumn.max_queue_length] = max(self._row[CounterColumn.max_queue_length], len(pending))
                for process, workers in groupby(pending, self._process_of_worker.__getitem__):
                    self._serve(list(workers))
                    notify(self._weights_ready[process])
                    if self._counters.command is Command.pause:
                        break  # the others stay pending
            elif self._counters.command is Command.close:
                break
            else:
                self._listener.wait(_IDLE_SECONDS)
            now = time.monotonic()
            if now >= self._next_stats_time:
                self._send_stats(now)
        self._send_stats(time.monotonic())

    def _serve(self, workers: Sequence[int]) -> None:
        """Settle these workers' requests in this order, in one transaction, and answer each with the weights that follow its
        own gradient."""
        requests = [self._fields[worker].tolist() for worker in workers]
        transaction, base = self._state_writer.begin(), self._counters.base_updates
        outcomes: list[_GradientOutcome] = []
        for worker, request in zip(workers, requests, strict=True):
            # A gradient that is settled, but was not answered: a predecessor died between the two.
            if request[SlotField.has_gradient] and transaction.counters[len(StateField) + worker] < request[SlotField.sent]:
                outcomes.append(self._apply(transaction, worker, request))
            self._gradient_slots.weights[worker].copy_(transaction.weights)
            self._fields[worker, SlotField.answered_at] = base + transaction.counters[StateField.updates]
        transaction.commit()
        self._publish_counters()
        for worker, request in zip(workers, requests, strict=True):
            self._fields[worker, SlotField.answered] = request[SlotField.sent]
        self._control.heartbeat()
        for outcome in outcomes:
            self._update_stats(outcome)

    def _apply(self, transaction: Transaction, worker: int, fields: Sequence[int]) -> _GradientOutcome:
        """Apply a worker's gradient, or drop it."""
        counters = transaction.counters
        updates = self._counters.base_updates + int(counters[StateField.updates])
        lag, bound = updates - fields[SlotField.pulled_at], self._staleness_policy.max_lag
        stale = bound is not None and lag > bound
        drop = stale and self._staleness_policy.on_stale is OnStale.drop
        counters[len(StateField) + worker] = fields[SlotField.sent]
        counters[StateField.env_steps] += fields[SlotField.steps]
        if drop:
            counters[StateField.dropped] += 1
        else:
            gradient = self._gradient_slots.gradients[worker]
            if stale:
                assert bound is not None
                # Not in place: if this process dies, its replacement must find the gradient as it was sent.
                gradient = torch.mul(gradient, bound / lag, out=self._scaled)
                counters[StateField.downweighted] += 1
            weights, state = transaction.writable_state()
            self._setup.optimizer.step(
                weights, gradient, state, updates, self._learning_rates[worker] * self._lr_factor(transaction)
            )
            counters[StateField.updates] += 1
        window_stats = self._window_stats[worker].copy()
        return _GradientOutcome(
            worker, lag, not drop, stale and not drop, fields[SlotField.steps], fields[SlotField.truncated], window_stats
        )

    def _lr_factor(self, transaction: Transaction) -> float:
        shared, own = self._counters, transaction.counters
        env_steps = shared.base_steps + int(own[StateField.env_steps])
        updates = shared.base_updates + int(own[StateField.updates])
        return self._setup.lr_factor(shared.episodes(), env_steps, updates)

    def _update_stats(self, outcome: _GradientOutcome) -> None:
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
        """Write the shared counters that budgets are computed from; before the answer, which gives reservations back."""
        counters = self._state_writer.counters
        self._row[CounterColumn.pushes] = counters[StateField.updates]
        self._row[CounterColumn.steps_done] = counters[StateField.env_steps]

    def _send_stats(self, now: float) -> None:
        if self._stats.worker_windows.any():
            self._control.send(StatsEvent(self._stats))
            self._stats = TrainingStats()
        self._next_stats_time = now + REPORT_SECONDS
