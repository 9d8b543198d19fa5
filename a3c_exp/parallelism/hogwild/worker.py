"""The inside of one hogwild process: its workers apply their own gradients to the shared weights, one after another."""

import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, TrainingStats
from a3c_exp.parallelism.base import StatsEvent, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.worker_loop import Exchange, ProcessWorkers, WorkerLoop
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl, WorkerAssignment, run_in_worker
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup

MAX_BURST = 32
"""Rounds of a burst, at most: all are reserved at once, and a process that dies in a burst gives back what is left of it."""


def main(
    setup: TrainingSetup, assignment: WorkerAssignment, buffer: SharedBuffer, counters: SharedCounters, pipe: Connection
) -> None:
    """Entry of the process."""
    run_in_worker(lambda: make_loop(setup, assignment, buffer, counters, pipe).run(), pipe)


def make_loop(
    setup: TrainingSetup, assignment: WorkerAssignment, buffer: SharedBuffer, counters: SharedCounters, pipe: Connection
) -> WorkerLoop:
    control = ProcessControl(assignment.slot, counters, pipe)
    buffer = replace(buffer, lock_timeout=assignment.lock_timeout)
    shared_weights = SharedWeights(buffer, counters, assignment.slot, setup.optimizer)
    workers = ProcessWorkers.create(setup, assignment, control, shared_weights.lock)
    return WorkerLoop(workers, HogwildExchange(workers, shared_weights))


class HogwildExchange(Exchange):
    """Applies the gradients of a process's K workers to the shared weights here, in this process: one a worker, or one of all
    of them."""

    def __init__(self, workers: ProcessWorkers[WorkerGroup], shared_weights: SharedWeights) -> None:
        setup, group = workers.setup, workers.group
        self._setup, self._control, self._counters = setup, workers.control, workers.control.counters
        self._shared_weights, self._worker_weights = shared_weights, group.weights
        self._worker_ids = np.array([member.worker for member in group.worker_ids])
        rows, self._pull_together = group.gradient_rows, workers.pull_together
        self._full_windows = np.full(len(self._worker_ids), setup.learner.n_step)
        # Of workers that have one gradient together, all rates are the same.
        self._learning_rates = np.array([setup.lr(setup.seed, worker) for worker in self._worker_ids[:rows].tolist()])
        self._pulled_at = np.zeros(rows, np.int64)
        self._group = group
        self._sequential_updates: SequentialUpdates | None = None
        self._update_batches: Sequence[UpdateBatch] = ()
        self.use_compiled()
        self._stats = TrainingStats()
        # Window statistics, lags, workers and steps of updates that are not in ``_stats`` yet: cheaper for many at once.
        self._uncounted: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        self._next_stats_time = 0.0

    def use_compiled(self) -> None:
        if self._pull_together:
            return
        rows = self._group.gradient_rows
        self._sequential_updates = SequentialUpdates.try_compile(self._group, self._setup.optimizer, rows)
        if self._sequential_updates is not None:
            orders, rates = np.arange(rows)[np.newaxis], self._learning_rates[np.newaxis]
            (self._update_batches,) = self._sequential_updates.prepare(orders, 0, rates)
            self.burst_rounds = MAX_BURST

    def pull_all(self) -> None:
        pulled_at = [self._shared_weights.pull(weights) for weights in self._worker_weights]
        self._pulled_at[:] = max(pulled_at) if self._pull_together else pulled_at

    def push_and_pull(self, result: RoundResult, workers: Sequence[int]) -> None:
        if not len(workers):
            return
        if self._sequential_updates is not None and len(workers) == len(self._worker_ids):
            with torch.inference_mode():
                self.push_and_pull_all(result.gradients, result.window_stats, result.steps)
        else:
            rates, order = self._current_learning_rates(), np.array(workers)
            rows = list(dict.fromkeys(map(result.row, workers)))
            if self._pull_together:
                own = self._worker_weights, self._pulled_at[rows], rates[rows]
                lags, self._pulled_at[:] = self._shared_weights.push_each_then_pull(
                    [result.gradients[row] for row in rows], *own
                )
            else:
                lags, push = np.zeros(len(rows), np.int64), self._shared_weights.push_and_pull
                for i, row in enumerate(rows):
                    gradient, into, rate = result.gradients[row], self._worker_weights[row], float(rates[row])
                    lags[i], self._pulled_at[row] = push(gradient, into, int(self._pulled_at[row]), rate)
            self._uncounted.append((result.window_stats[rows], lags, self._worker_ids[order], result.steps[order]))
        if result.ended:
            self._stats.truncated += len(result.truncated_workers() & set(workers))

    def push_and_pull_all(
        self, gradients: Tensor, window_stats: NDArray[np.float32], steps: NDArray[np.int64] | None = None
    ) -> None:
        assert self._sequential_updates is not None
        own = self._worker_weights, self._pulled_at, self._current_learning_rates()
        lags = self._shared_weights.push_all_and_pull(self._sequential_updates, self._update_batches, gradients, *own)
        self._uncounted.append((window_stats, lags, self._worker_ids, self._full_windows if steps is None else steps))

    def settle(self, steps: int) -> None:
        self._counters.settle_steps(self._control.slot, steps)
        now = time.monotonic()
        if now >= self._next_stats_time:
            self._send_stats()
            self._next_stats_time = now + REPORT_SECONDS

    def updates(self) -> int:
        return self._shared_weights.updates()

    def close(self) -> None:
        self._send_stats()

    def _current_learning_rates(self) -> NDArray[np.float64]:
        """``[K]`` at this point of the budget; the same array as long as it does not change."""
        if self._setup.schedules.lr.is_constant:
            return self._learning_rates
        counters = self._counters
        return self._setup.lr_factor(counters.episodes(), counters.env_steps(), self.updates()) * self._learning_rates

    def _send_stats(self) -> None:
        if self._uncounted:
            window_stats, lags, workers, steps = (np.concatenate(column) for column in zip(*self._uncounted, strict=True))
            self._stats.add_updates(window_stats, lags)
            self._stats.count_many_windows(workers, steps)
            self._uncounted.clear()
        if self._stats.windows:
            self._control.send(StatsEvent(self._stats))
        self._stats = TrainingStats()
