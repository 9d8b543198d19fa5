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

from a3c_exp.algorithm.training_stats import REPORT_SECONDS, Tally
from a3c_exp.config.enums import Anneal
from a3c_exp.parallelism.base import TallyEvent, Task
from a3c_exp.parallelism.compiled.sequential_updates import Call, PushSeries
from a3c_exp.parallelism.hogwild.shared_parameters import SharedWeights, WeightBlock
from a3c_exp.parallelism.multiprocess.shared_counters import Ledger
from a3c_exp.parallelism.multiprocess.worker_process import Placement, WorkerProcess, inside
from a3c_exp.parallelism.worker_group import Round

_AT_ONCE = 32
"""Rounds of a stretch at most: so many are reserved at once, and a process that dies in one gives back what is left of them."""
_STRETCH_SECONDS = 0.05
"""After which a stretch ends early, to show life and to obey."""


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

    def _stretch(self) -> bool:
        series, workers, ledger = self._series, self._workers, self._ledger
        if series is None:
            return False
        updates, all_updates = len(self._ids), _AT_ONCE * self._task.workers
        steps, all_steps = (self._task.learner.n_step * one for one in (updates, all_updates))
        if not ledger.reserve_from_plenty(self._slot, _AT_ONCE * steps, _AT_ONCE * updates, (all_steps, all_updates)):
            return False
        count = workers.open_stretch(_AT_ONCE)
        if not count:
            ledger.settle_steps(self._slot, 0)
            return False
        deadline = time.monotonic() + _STRETCH_SECONDS
        with torch.inference_mode():
            for _ in range(count):
                gradients, figures, someone_ended = workers.stretch_round()
                if someone_ended or not np.isfinite(figures).all():
                    self._complete(workers.close_stretch(gradients, figures))
                    return True
                self._push_all(series, gradients, figures, self._full_windows)
                ledger.settle_part(self._row, steps, updates)
                if time.monotonic() >= deadline:
                    break
            workers.close_stretch(gradients, figures)
        self._settle_steps(0)
        return True

    def _push_all(self, series: PushSeries, gradients: Tensor, figures: NDArray[np.float32], steps: NDArray[np.int64]) -> None:
        """Everybody pushes and pulls. Call in inference mode."""
        rates = self._rates_now()
        lags = self._shared.push_all_and_pull(series, self._calls, gradients, self._workers.weights, self._pulled_at, rates)
        self._kept.append((figures, lags, self._numbers, steps))

    def _exchange(self, done: Round, sound: Sequence[int]) -> None:
        if not len(sound):
            return
        if self._series is not None and len(sound) == len(self._ids):
            with torch.inference_mode():
                self._push_all(self._series, done.gradients, done.figures, done.steps)
        else:
            shared, own, pulled_at, rates = self._shared, self._workers.weights, self._pulled_at, self._rates_now()
            lags, order = np.zeros(len(sound), np.int64), np.array(sound)
            for i, k in enumerate(sound):
                lags[i], pulled_at[k] = shared.push_and_pull(done.gradients[k], own[k], int(pulled_at[k]), float(rates[k]))
            self._kept.append((done.figures[order], lags, self._numbers[order], done.steps[order]))
        if done.ended:
            self._tally.truncated += len({one.worker for one in done.ended if one.end == "truncated"} & set(sound))

    def _settle(self, done: Round) -> None:
        self._settle_steps(int(done.steps.sum()))

    def _settle_steps(self, taken: int) -> None:
        self._ledger.settle_steps(self._slot, taken)
        now = time.monotonic()
        if now >= self._tally_due:
            self._send_tally(now)

    def _updates(self) -> int:
        return self._shared.updates()

    def _rates_now(self) -> NDArray[np.float64]:
        """Each worker's learning rate at this point of the budget; the same array as long as it does not change."""
        if self._task.exploration.anneal is Anneal.none:
            return self._rates
        ledger = self._ledger
        done = self._task.budget.fraction(ledger.episodes(), ledger.env_steps(), self._shared.updates())
        return self._task.exploration.factor(done) * self._rates

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
