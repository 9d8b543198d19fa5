"""The inside of one hogwild process: K workers that take turns at the shared weights and wait for no other process."""

import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np

from a3c_exp.core.choices import Anneal
from a3c_exp.parallelism.base import TallyEvent, Task
from a3c_exp.parallelism.ledger import Ledger
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
        self._rates = [task.lr(task.seed, worker) for worker in placement.ids]
        self._numbers = np.array(self._ids)
        self._pulled_at = [0] * len(self._ids)
        self._tally = Tally()
        self._tally_due = 0.0

    def _begin(self) -> None:
        self._pulled_at = [self._shared.pull(own) for own in self._workers.weights]

    def run(self) -> None:
        super().run()
        self._send_tally(time.monotonic())

    def _exchange(self, done: Round, sound: Sequence[int]) -> None:
        if not len(sound):
            return
        workers, shared = self._workers, self._shared
        factor, lags = self._rate_factor(), []
        for k in sound:
            own = workers.weights[k]
            lag, self._pulled_at[k] = shared.push_and_pull(done.gradients[k], own, self._pulled_at[k], factor * self._rates[k])
            lags.append(lag)
        order = np.array(sound)
        self._tally.add_all(done.figures[order], np.array(lags))
        self._tally.lived_all(self._numbers[order], done.steps[order])
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

    def _send_tally(self, now: float) -> None:
        if self._tally.windows:
            self._pipe.send(TallyEvent(self._tally))
        self._tally = Tally()
        self._tally_due = now + REPORT_SECONDS
