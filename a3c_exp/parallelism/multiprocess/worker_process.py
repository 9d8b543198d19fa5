"""The inside of a worker process: K stacked workers, their share of the budget, and a main process that is obeyed."""

import os
import select
import signal
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.window_gradient import Stat
from a3c_exp.parallelism.base import EpisodeEvent, Task
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import Command, Ledger, Slot
from a3c_exp.parallelism.worker_group import Member, Round, StackedWorkers
from a3c_exp.system.torch_settings import on_one_core


@dataclass(frozen=True)
class NonFinite:
    """A worker computed a loss or gradient that is not finite; it was not pushed."""

    worker: int
    window: int
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Crash:
    """A process raised; its traceback."""

    text: str


@dataclass(frozen=True)
class Placement:
    """Which workers live in this process, where its counts stand, and how long it waits for a lock."""

    slot: int
    ids: Sequence[int]
    lock_timeout: float


def inside(run: Callable[[], None], pipe: Connection) -> None:
    """Run what a process is for. Ends with it, when the main process is gone, or by an error, which is reported first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with on_one_core():
            run()
    except (ConnectionError, EOFError):
        pass  # the main process is gone, and so is everyone who could be told
    except BaseException:
        pipe.send(Crash(traceback.format_exc()))
        pipe.close()
        os._exit(1)
    finally:
        pipe.close()


class Obedient:
    """A process that shows life and does what the ledger says.

    Args:
        slot: its row in the ledger.
        ledger: shared counts.
        pipe: to the main process.
    """

    def __init__(self, slot: int, ledger: Ledger, pipe: Connection) -> None:
        self._slot = slot
        self._ledger = ledger
        self._row = ledger.table[slot]
        self._pipe = pipe
        self._end_of_pipe = select.poll()
        self._end_of_pipe.register(pipe.fileno(), select.POLLIN)

    def _show_life(self) -> None:
        self._row[Slot.heartbeat] = time.monotonic_ns()

    def _attend(self) -> bool:
        """Show life, obey the main process; false when it is time to end."""
        self._show_life()
        command = self._ledger.command
        if command is Command.run:
            return not self._orphaned()
        while command is Command.pause and not self._orphaned():
            self._ledger.wait_at_barrier(self._slot)
            self._show_life()
            time.sleep(0.0005)
            command = self._ledger.command
        return command is Command.run

    def _orphaned(self) -> bool:
        # The main process never writes here, so anything to read is the end of the pipe.
        return bool(self._end_of_pipe.poll(0))


class WorkerProcess(Obedient, ABC):
    """K stacked workers and the loop of act, learn, push and pull; whoever derives says how one pushes and pulls.

    Args:
        task: what is trained.
        placement: which workers live here.
        ledger: shared counts.
        lock: held by whoever takes from a budget.
        pipe: to the main process.
    """

    def __init__(self, task: Task, placement: Placement, ledger: Ledger, lock: OwnedLock, pipe: Connection) -> None:
        super().__init__(placement.slot, ledger, pipe)
        self._task = task
        self._lock = lock
        first, last = placement.ids[0], placement.ids[-1] + 1
        counters = ledger.workers.numpy()
        members = [Member(task.seed, worker) for worker in placement.ids]
        self._ids = list(placement.ids)
        self._rounds = counters[0, first:last]
        self._full_windows = np.full(len(self._ids), task.learner.n_step)
        self._workers = StackedWorkers(task, members, self._rounds, counters[1, first:last], lambda _: self._take_ticket())

    @abstractmethod
    def _begin(self) -> None:
        """Bring all rows of ``workers.weights`` to the shared weights, before the first round."""

    @abstractmethod
    def _exchange(self, done: Round, sound: Sequence[int]) -> None:
        """Push these workers' gradients in this order, and give each the weights that come after its own push."""

    @abstractmethod
    def _settle(self, done: Round) -> None:
        """Everything of a round was pushed: count its steps."""

    @abstractmethod
    def _updates(self) -> int:
        """Updates of the shared weights so far."""

    def _between_rounds(self) -> None:
        """What is to be done before the next round."""

    def _stretch(self) -> bool:
        """Several rounds at once, if there are any of which nothing is to be decided: by default there are none."""
        return False

    def run(self) -> None:
        """Rounds until told to stop."""
        self._begin()
        while self._attend():
            self._between_rounds()
            if self._stretch():
                continue
            allowed = self._reserve()
            if not allowed.any():
                time.sleep(0.002)  # the budget is spoken for; a dead worker's share may still come back
                continue
            self._round(allowed)

    def _round(self, allowed: NDArray[np.int64]) -> None:
        done = self._workers.round(allowed)
        self._row[Slot.stepping] = 1
        self._complete(done)

    def _complete(self, done: Round) -> None:
        """Exchange what a round brought, and say what happened in it."""
        acted = done.steps.nonzero()[0].tolist()
        finite = np.atleast_1d(np.isfinite(done.figures).all(axis=1))
        spoilt = None if finite.all() else next((k for k in acted if not finite[k]), None)
        self._exchange(done, acted if spoilt is None else acted[: acted.index(spoilt)])
        if spoilt is not None:
            self._report_non_finite(spoilt, done.figures[spoilt])
            return
        self._settle(done)
        self._report(done.ended)

    def _report(self, ended: Iterable[EndedEpisode]) -> None:
        """Tell the main process of episodes that ended; ``worker`` counts within this process."""
        for episode in ended:
            named = replace(episode, worker=self._ids[episode.worker])
            self._pipe.send(EpisodeEvent(named, self._ledger.env_steps(), self._updates()))

    def _reserve(self) -> NDArray[np.int64]:
        """How many steps each worker may take in the next window, ``[K]``."""
        k, n, budget = len(self._ids), self._task.learner.n_step, self._task.budget
        if not self._could_act():
            return np.zeros(k, np.int64)
        unlimited = budget.max_env_steps is None and budget.max_updates is None
        if unlimited or self._ledger.reserve_from_plenty(self._slot, k * n, k, (self._task.workers * n, self._task.workers)):
            return self._full_windows
        with self._lock:
            windows = self._ledger.reserve_updates(self._slot, k)
            total = self._ledger.reserve_steps(self._slot, windows * n)
        # Workers in an episode come first: one that can get no ticket would sit on the last steps for ever.
        allowed = np.zeros(k, np.int64)
        for i, worker in enumerate(np.argsort(~self._workers.episodes.in_episode, kind="stable")[:windows]):
            allowed[worker] = min(n, max(0, total - i * n))
        return allowed

    def _could_act(self) -> bool:
        """Whether any worker is in an episode or could begin one, and updates are left."""
        limit = self._task.budget.max_updates
        if limit is not None and self._updates() >= limit:
            return False
        if self._workers.episodes.in_episode.any() or self._task.budget.max_episodes is None:
            return True
        table = self._ledger.table
        taken = int((table[:, Slot.tickets_taken] - table[:, Slot.tickets_returned]).sum())
        return self._ledger.base_episodes + taken < self._task.budget.max_episodes

    def _take_ticket(self) -> bool:
        with self._lock:
            return self._ledger.take_ticket(self._slot)

    def _report_non_finite(self, k: int, figures: NDArray[np.float32]) -> None:
        terms = tuple(Stat(i).name for i in range(Stat.steps) if not np.isfinite(figures[i]))
        terms = terms or tuple(Stat(int(i)).name for i in (~np.isfinite(figures)).nonzero()[0])
        self._pipe.send(NonFinite(self._ids[k], int(self._rounds[k]), terms))
        while self._attend():  # the main process ends the run; nothing more is pushed meanwhile
            time.sleep(0.002)
