"""The server process: it owns weights and optimizer state and applies workers' gradients in order of arrival."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, TrainingStats
from a3c_exp.parallelism.base import StatsEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, notify
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl, run_in_worker
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState, StateField, StateWriter
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField

_IDLE_SECONDS = 0.1  # how long the server waits to be woken before it shows a heartbeat and looks itself


class OnStale(StrEnum):
    """What becomes of a gradient whose policy lag exceeds the bound."""

    drop = "drop"
    downweight = "downweight"


@dataclass(frozen=True)
class StalenessPolicy:
    """What the server does about gradients that come from old weights."""

    max_lag: int | None = None  # the bound, in updates; None applies every gradient as it is
    on_stale: OnStale = OnStale.drop  # one beyond it is dropped, or multiplied by ``max_lag / lag``
    reset_after_lag: int | None = None  # a worker whose gradient had a larger lag is asked to begin a new episode; None: never


def main(*arguments: Any) -> None:
    """Entry of the process, with the arguments of ``ServerProcess``."""
    run_in_worker(lambda: ServerProcess(*arguments).run(), arguments[-1])


class ServerProcess:
    """Serves requests one after the other. Every gradient is settled exactly once, whichever process is killed when.

    Args:
        slot: its row of the shared ``counters``.
        gradients_ready, weights_ready: of each worker process, which wakes the server by the one when it has sent requests, and
            is woken by the other when they are answered.
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
        self._staleness_policy, self._state_writer = staleness_policy, StateWriter(double_buffer)
        self._gradient_slots, self._fields = gradient_slots, gradient_slots.fields.numpy()
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
        """Settle these requests in order, in one transaction, and answer each with the weights that follow its own gradient."""
        requests = [self._fields[worker].tolist() for worker in workers]
        state, base = self._state_writer, self._counters.base_updates
        state.begin()
        outcomes: list[Callable[[], None]] = []
        for worker, request in zip(workers, requests, strict=True):
            # A gradient that is settled, but was not answered: a predecessor died between the two.
            if request[SlotField.has_gradient] and state.next_counters[len(StateField) + worker] < request[SlotField.sent]:
                outcomes.append(self._apply(worker, request))
            self._gradient_slots.weights[worker].copy_(state.weights)
            self._fields[worker, SlotField.answered_at] = base + state.next_counters[StateField.updates]
        state.commit()
        self._publish_counters()
        for worker, request in zip(workers, requests, strict=True):
            self._fields[worker, SlotField.answered] = request[SlotField.sent]
        self._control.heartbeat()
        for count_outcome in outcomes:
            count_outcome()

    def _apply(self, worker: int, fields: Sequence[int]) -> Callable[[], None]:
        """Apply a worker's gradient, or drop it; returns what counts it once that is committed."""
        counters, shared, setup = self._state_writer.next_counters, self._counters, self._setup
        updates = shared.base_updates + int(counters[StateField.updates])
        lag, bound = updates - fields[SlotField.pulled_at], self._staleness_policy.max_lag
        stale = bound is not None and lag > bound
        drop = stale and self._staleness_policy.on_stale is OnStale.drop
        counters[len(StateField) + worker] = fields[SlotField.sent]
        counters[StateField.env_steps] += fields[SlotField.steps]
        counters[StateField.episodes] += fields[SlotField.episodes]
        if drop:
            counters[StateField.dropped] += 1
        else:
            gradient = self._gradient_slots.gradients[worker]
            if stale:
                assert bound is not None
                # Not in place: if this process dies, its replacement must find the gradient as it was sent.
                sent = gradient
                gradient = torch.mul(sent, bound / lag, out=self._scaled)
                if setup.statistics_size:  # what the window adds to running statistics is no less true for being late
                    gradient[-setup.statistics_size :] = sent[-setup.statistics_size :]
                counters[StateField.downweighted] += 1
            weights, optimizer_state = self._state_writer.writable_state()
            env_steps = shared.base_steps + int(counters[StateField.env_steps])
            rate = self._learning_rates[worker] * setup.lr_factor(shared.episodes(), env_steps, updates)
            setup.optimizer.step(weights, gradient, optimizer_state, updates, rate)
            counters[StateField.updates] += 1
        window_stats = self._window_stats[worker].copy()
        return partial(self._count_outcome, worker, fields, window_stats, lag, drop, stale and not drop)

    def _count_outcome(
        self, worker: int, fields: Sequence[int], window_stats: NDArray[np.float32], lag: int, drop: bool, downweighted: bool
    ) -> None:
        if not drop:
            self._stats.add_update(window_stats, lag)
        self._stats.dropped += drop
        self._stats.downweighted += downweighted
        self._stats.count_windows([worker], [fields[SlotField.steps]], fields[SlotField.truncated])
        after = self._staleness_policy.reset_after_lag
        if after is not None and lag > after:
            self._fields[worker, SlotField.resets_requested] += 1

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
