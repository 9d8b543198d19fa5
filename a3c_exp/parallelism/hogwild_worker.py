"""The inside of one hogwild process: K workers that take turns at the shared weights and wait for no other process."""

import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.core.choices import Anneal
from a3c_exp.parallelism.base import TallyEvent, Task
from a3c_exp.parallelism.ledger import Ledger
from a3c_exp.parallelism.push_series import Call, PushSeries
from a3c_exp.parallelism.shared_weights import SharedWeights, WeightBlock
from a3c_exp.parallelism.tally import REPORT_SECONDS, Tally
from a3c_exp.parallelism.worker_process import Placement, WorkerProcess, inside
from a3c_exp.parallelism.workers import Round


def main(task: Task, placement: Placement, block: WeightBlock, ledger: Ledger, pipe: Connection) -> None:
    """Entry of the process."""
    inside(lambda: HogwildWorkers(task, placement, block, ledger, pipe).run(), pipe)


class HogwildWorkers(WorkerProcess):
    """K stacked workers and their hold on the shared weights."""

    def __init__(self, task: Task, placement: Placement, block: WeightBlock, ledger: Ledger, pipe: Connection) -> None:
        block = replace(block, timeout=placement.lock_timeout)
        self._shared = SharedWeights(block, ledger, placement.slot, task.optimizer)
        super().__init__(task, placement, ledger, self._shared.lock, pipe)
        self._rates = np.array([task.lr(task.seed, worker) for worker in placement.ids])
        self._numbers = np.array(self._ids)
        self._pulled_at = np.zeros(len(self._ids), np.int64)
        self._series = PushSeries.of(self._workers, task.optimizer, len(self._ids))
        self._calls: Sequence[Call] = ()
        if self._series is not None:
            (self._calls,) = self._series.lined_up(np.arange(len(self._ids))[np.newaxis], 0, self._rates[np.newaxis])
        self._tally = Tally()
        self._kept: list[tuple[NDArray[Any], ...]] = []  # figures, lags, workers and steps of pushes not in the tally yet
        self._tally_due = 0.0

    def _begin(self) -> None:
        self._pulled_at[:] = [self._shared.pull(own) for own in self._workers.weights]

    def run(self) -> None:
        super().run()
        self._send_tally(time.monotonic())

    def _live(self, allowed: NDArray[np.int64]) -> Round:
        return self._workers.round_unbooked(allowed)

    def _exchange(self, done: Round, sound: Sequence[int]) -> None:
        if not len(sound):
            return
        shared, own, pulled_at = self._shared, self._workers.weights, self._pulled_at
        rates = self._rate_factor() * self._rates
        if self._series is not None and len(sound) == len(self._ids):
            lags = shared.push_all_and_pull(self._series, self._calls, done.gradients, own, pulled_at, rates)
            self._kept.append((done.figures, lags, self._numbers, done.steps))
        else:
            lags, order = np.zeros(len(sound), np.int64), np.array(sound)
            for i, k in enumerate(sound):
                lags[i], pulled_at[k] = shared.push_and_pull(done.gradients[k], own[k], int(pulled_at[k]), float(rates[k]))
            self._kept.append((done.figures[order], lags, self._numbers[order], done.steps[order]))
        if done.ended:
            self._tally.truncated += len({one.worker for one in done.ended if one.end == "truncated"} & set(sound))

    def _settle(self, done: Round) -> None:
        self._ledger.settle_steps(self._slot, int(done.steps.sum()))
        now = time.monotonic()
        if now >= self._tally_due:
            self._send_tally(now)

    def _updates(self) -> int:
        return self._shared.updates()

    def _rate_factor(self) -> float:
        """What learning rates are multiplied by at this point of the budget."""
        if self._task.exploration.anneal is Anneal.none:
            return 1.0
        ledger = self._ledger
        done = self._task.budget.fraction(ledger.episodes(), ledger.env_steps(), self._shared.updates())
        return self._task.exploration.factor(done)

    def _count(self) -> None:
        """Enter what was kept in the tally: cheaper for many rounds at once."""
        if self._kept:
            figures, lags, workers, steps = (np.concatenate(column) for column in zip(*self._kept, strict=True))
            self._tally.add_all(figures, lags)
            self._tally.lived_all(workers, steps)
            self._kept.clear()

    def _send_tally(self, now: float) -> None:
        self._count()
        if self._tally.windows:
            self._pipe.send(TallyEvent(self._tally))
        self._tally = Tally()
        self._tally_due = now + REPORT_SECONDS
