"""The inside of one hogwild process: K workers that take turns at the shared weights and wait for no other process."""

import os
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.core.choices import Anneal
from a3c_exp.learner import Stat
from a3c_exp.parallelism.base import EpisodeEvent, TallyEvent, Task
from a3c_exp.parallelism.ledger import Command, Ledger, Slot
from a3c_exp.parallelism.shared_weights import SharedWeights, WeightBlock
from a3c_exp.parallelism.tally import Tally
from a3c_exp.parallelism.workers import Member, StackedWorkers

_TALLY_SECONDS = 0.25
"""How often a process reports its averages."""


@dataclass(frozen=True)
class NonFinite:
    """A worker computed a loss or gradient that is not finite; it was not pushed."""

    worker: int
    window: int
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Crash:
    """A worker process raised; its traceback."""

    text: str


@dataclass(frozen=True)
class Placement:
    """Which workers live in this process, where its counts stand, and how long it waits for a lock."""

    slot: int
    ids: Sequence[int]
    lock_timeout: float


def main(task: Task, placement: Placement, block: WeightBlock, ledger: Ledger, pipe: Connection) -> None:
    """Entry of the process. Ends when told to, when the main process is gone, or by an error, which it reports first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    try:
        HogwildWorkers(task, placement, block, ledger, pipe).run()
    except (BrokenPipeError, EOFError):
        pass  # the main process is gone, and so is everyone who could be told
    except BaseException:
        pipe.send(Crash(traceback.format_exc()))
        pipe.close()
        os._exit(1)
    finally:
        pipe.close()


class HogwildWorkers:
    """K stacked workers, their hold on the shared weights, and the loop that ties them together."""

    def __init__(self, task: Task, placement: Placement, block: WeightBlock, ledger: Ledger, pipe: Connection) -> None:
        self._task = task
        self._slot = placement.slot
        self._ledger = ledger
        self._pipe = pipe
        self._row = ledger.table[self._slot]
        self._shared = SharedWeights(replace(block, timeout=placement.lock_timeout), ledger, self._slot, task.optimizer)
        first, last = placement.ids[0], placement.ids[-1] + 1
        counters = ledger.workers.numpy()
        members = [Member(task.seed, worker) for worker in placement.ids]
        self._ids = list(placement.ids)
        self._workers = StackedWorkers(
            task, members, counters[0, first:last], counters[1, first:last], lambda _: self._take_ticket()
        )
        self._rates = [task.lr(*member) for member in members]
        self._rounds = counters[0, first:last]
        self._pulled_at = [self._shared.pull(own) for own in self._workers.weights]
        self._tally = Tally()
        self._tally_due = 0.0

    def run(self) -> None:
        """Rounds of act, learn, push and pull until told to stop."""
        while self._attend():
            allowed = self._reserve()
            if not allowed.any():
                time.sleep(0.002)  # the budget is spoken for; a dead worker's share may still come back
                continue
            self._round(allowed)
        self._send_tally(time.monotonic())

    def _round(self, allowed: NDArray[np.int64]) -> None:
        workers, shared = self._workers, self._shared
        done = workers.round(allowed)
        self._row[Slot.stepping] = 1
        factor = self._rate_factor()
        cut_short = {episode.worker for episode in done.ended if episode.end == "truncated"}
        for k in done.steps.nonzero()[0].tolist():
            figures = done.figures[k]
            if not np.isfinite(figures).all():
                self._report_non_finite(k, figures)
                return
            own = workers.weights[k]
            lag, self._pulled_at[k] = shared.push_and_pull(done.gradients[k], own, self._pulled_at[k], factor * self._rates[k])
            self._tally.add(figures, lag)
            self._tally.lived([self._ids[k]], [int(done.steps[k])], k in cut_short)
        self._ledger.settle_steps(self._slot, int(done.steps.sum()))
        if done.ended:
            env_step, update = self._ledger.env_steps(), shared.updates()
            for episode in done.ended:
                named = replace(episode, worker=self._ids[episode.worker])
                self._pipe.send(EpisodeEvent(named, env_step, update))
        now = time.monotonic()
        if now >= self._tally_due:
            self._send_tally(now)

    def _attend(self) -> bool:
        """Show life, obey the main process; false when it is time to end."""
        self._row[Slot.heartbeat] = time.monotonic_ns()
        command = self._ledger.command
        if command is Command.run:
            return not self._orphaned()
        while command is Command.pause and not self._orphaned():
            self._ledger.wait_at_barrier(self._slot)
            self._row[Slot.heartbeat] = time.monotonic_ns()
            time.sleep(0.0005)
            command = self._ledger.command
        return command is Command.run

    def _orphaned(self) -> bool:
        # The main process never writes here, so anything to read is the end of the pipe.
        return self._pipe.poll()

    def _reserve(self) -> NDArray[np.int64]:
        """How many steps each worker may take in the next window, ``[K]``."""
        k, n = len(self._ids), self._task.learner.n_step
        if self._task.budget.max_env_steps is None:
            return np.full(k, n, np.int64) if self._could_act() else np.zeros(k, np.int64)
        if not self._could_act():
            return np.zeros(k, np.int64)
        with self._shared.lock:
            total = self._ledger.reserve_steps(self._slot, k * n)
        # Workers in an episode come first: one that can get no ticket would sit on the last steps for ever.
        allowed = np.zeros(k, np.int64)
        for i, worker in enumerate(np.argsort(~self._workers.rollout.in_episode, kind="stable")):
            allowed[worker] = min(n, max(0, total - i * n))
        return allowed

    def _rate_factor(self) -> float:
        """What learning rates are multiplied by at this point of the budget."""
        if self._task.exploration.anneal is Anneal.none:
            return 1.0
        ledger = self._ledger
        done = self._task.budget.fraction(ledger.episodes(), ledger.env_steps(), self._shared.updates())
        return self._task.exploration.factor(done)

    def _could_act(self) -> bool:
        """Whether any worker is in an episode or could begin one, and updates are left."""
        limit = self._task.budget.max_updates
        if limit is not None and self._shared.updates() >= limit:
            return False
        if self._workers.rollout.in_episode.any() or self._task.budget.max_episodes is None:
            return True
        table = self._ledger.table
        taken = int((table[:, Slot.tickets_taken] - table[:, Slot.tickets_returned]).sum())
        return self._ledger.base_episodes + taken < self._task.budget.max_episodes

    def _take_ticket(self) -> bool:
        with self._shared.lock:
            return self._ledger.take_ticket(self._slot)

    def _send_tally(self, now: float) -> None:
        if self._tally.windows:
            self._pipe.send(TallyEvent(self._tally))
        self._tally = Tally()
        self._tally_due = now + _TALLY_SECONDS

    def _report_non_finite(self, k: int, figures: NDArray[np.float32]) -> None:
        terms = tuple(Stat(i).name for i in range(Stat.steps) if not np.isfinite(figures[i]))
        terms = terms or tuple(Stat(int(i)).name for i in (~np.isfinite(figures)).nonzero()[0])
        self._pipe.send(NonFinite(self._ids[k], int(self._rounds[k]), terms))
        while self._attend():  # the main process ends the run; nothing more is pushed meanwhile
            time.sleep(0.002)
