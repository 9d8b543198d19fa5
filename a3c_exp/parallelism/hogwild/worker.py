"""The inside of one hogwild process: K workers that take turns at the shared weights and wait for no other process."""

import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, TrainingStats
from a3c_exp.config.enums import LRSchedule
from a3c_exp.parallelism.base import StatsEvent, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import WorkerAssignment, WorkerProcess, run_in_worker
from a3c_exp.parallelism.worker_group import RoundResult

_MAX_BURST = 32
"""Rounds of a stretch at most: so many are reserved at once, and a process that dies in one gives back what is left of them."""
_BURST_SECONDS = 0.05
"""After which a stretch ends early, to show life and to obey."""


def main(
    setup: TrainingSetup, assignment: WorkerAssignment, buffer: SharedBuffer, counters: SharedCounters, pipe: Connection
) -> None:
    """Entry of the process."""
    run_in_worker(lambda: HogwildWorkers(setup, assignment, buffer, counters, pipe).run(), pipe)


class HogwildWorkers(WorkerProcess):
    """K stacked workers and their hold on the shared weights."""

    def __init__(
        self,
        setup: TrainingSetup,
        assignment: WorkerAssignment,
        buffer: SharedBuffer,
        counters: SharedCounters,
        pipe: Connection,
    ) -> None:
        buffer = replace(buffer, lock_timeout=assignment.lock_timeout)
        self._shared_weights = SharedWeights(buffer, counters, assignment.slot, setup.optimizer)
        super().__init__(setup, assignment, counters, self._shared_weights.lock, pipe)
        self._learning_rates = np.array([setup.lr(setup.seed, worker) for worker in assignment.worker_ids])
        self._worker_id_array = np.array(self._worker_ids)
        self._pulled_at = np.zeros(len(self._worker_ids), np.int64)
        self._sequential_updates = SequentialUpdates.try_compile(self._worker_group, setup.optimizer, len(self._worker_ids))
        self._update_batches: Sequence[UpdateBatch] = ()
        if self._sequential_updates is not None:
            (self._update_batches,) = self._sequential_updates.prepare(
                np.arange(len(self._worker_ids))[np.newaxis], 0, self._learning_rates[np.newaxis]
            )
        self._stats = TrainingStats()
        self._unreported: list[tuple[NDArray[Any], ...]] = []  # figures, lags, workers and steps of pushes not in the tally yet
        self._next_stats_time = 0.0

    def _pull_initial_weights(self) -> None:
        self._pulled_at[:] = [self._shared_weights.pull(own) for own in self._worker_group.weights]

    def run(self) -> None:
        super().run()
        self._send_stats(time.monotonic())

    def _run_burst(self) -> bool:
        series, workers, ledger = self._sequential_updates, self._worker_group, self._counters
        if series is None:
            return False
        updates, all_updates = len(self._worker_ids), _MAX_BURST * self._setup.workers
        steps, all_steps = (self._setup.learner.n_step * one for one in (updates, all_updates))
        if not ledger.try_reserve_lock_free(self._slot, _MAX_BURST * steps, _MAX_BURST * updates, (all_steps, all_updates)):
            return False
        count = workers.begin_burst(_MAX_BURST)
        if not count:
            ledger.settle_steps(self._slot, 0)
            return False
        deadline = time.monotonic() + _BURST_SECONDS
        with torch.inference_mode():
            for _ in range(count):
                gradients, figures, someone_ended = workers.burst_round()
                if someone_ended or not np.isfinite(figures).all():
                    self._complete(workers.end_burst(gradients, figures))
                    return True
                self._push_all(series, gradients, figures, self._full_windows)
                ledger.settle_part(self._row, steps, updates)
                if time.monotonic() >= deadline:
                    break
            workers.end_burst(gradients, figures)
        self._settle_steps(0)
        return True

    def _push_all(
        self,
        sequential_updates: SequentialUpdates,
        gradients: Tensor,
        window_stats: NDArray[np.float32],
        steps: NDArray[np.int64],
    ) -> None:
        """Everybody pushes and pulls. Call in inference mode."""
        rates = self._current_learning_rates()
        lags = self._shared_weights.push_all_and_pull(
            sequential_updates, self._update_batches, gradients, self._worker_group.weights, self._pulled_at, rates
        )
        self._unreported.append((window_stats, lags, self._worker_id_array, steps))

    def _exchange(self, result: RoundResult, finite_workers: Sequence[int]) -> None:
        if not len(finite_workers):
            return
        if self._sequential_updates is not None and len(finite_workers) == len(self._worker_ids):
            with torch.inference_mode():
                self._push_all(self._sequential_updates, result.gradients, result.window_stats, result.steps)
        else:
            shared, own, pulled_at, rates = (
                self._shared_weights,
                self._worker_group.weights,
                self._pulled_at,
                self._current_learning_rates(),
            )
            lags, order = np.zeros(len(finite_workers), np.int64), np.array(finite_workers)
            for i, k in enumerate(finite_workers):
                lags[i], pulled_at[k] = shared.push_and_pull(result.gradients[k], own[k], int(pulled_at[k]), float(rates[k]))
            self._unreported.append((result.window_stats[order], lags, self._worker_id_array[order], result.steps[order]))
        if result.ended:
            self._stats.truncated += len({one.worker for one in result.ended if one.end == "truncated"} & set(finite_workers))

    def _settle(self, result: RoundResult) -> None:
        self._settle_steps(int(result.steps.sum()))

    def _settle_steps(self, taken: int) -> None:
        self._counters.settle_steps(self._slot, taken)
        now = time.monotonic()
        if now >= self._next_stats_time:
            self._send_stats(now)

    def _updates(self) -> int:
        return self._shared_weights.updates()

    def _current_learning_rates(self) -> NDArray[np.float64]:
        """Each worker's learning rate at this point of the budget; the same array as long as it does not change."""
        if self._setup.per_worker.lr_schedule is LRSchedule.none:
            return self._learning_rates
        ledger = self._counters
        done = self._setup.budget.fraction(ledger.episodes(), ledger.env_steps(), self._shared_weights.updates())
        return self._setup.per_worker.lr_factor(done) * self._learning_rates

    def _count_unreported(self) -> None:
        """Enter what was kept in the tally: cheaper for many rounds at once."""
        if self._unreported:
            figures, lags, workers, steps = (np.concatenate(column) for column in zip(*self._unreported, strict=True))
            self._stats.add_updates(figures, lags)
            self._stats.count_many_windows(workers, steps)
            self._unreported.clear()

    def _send_stats(self, now: float) -> None:
        self._count_unreported()
        if self._stats.windows:
            self._pipe.send(StatsEvent(self._stats))
        self._stats = TrainingStats()
        self._next_stats_time = now + REPORT_SECONDS
