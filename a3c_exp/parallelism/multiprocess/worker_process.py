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
from a3c_exp.parallelism.base import EpisodeEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId
from a3c_exp.system.child_process import Crash
from a3c_exp.system.torch_settings import single_threaded


@dataclass(frozen=True)
class NonFinite:
    """A worker computed a loss or gradient that is not finite; it was not pushed."""

    worker: int
    window: int
    terms: tuple[str, ...]


@dataclass(frozen=True)
class WorkerAssignment:
    """Which workers live in this process, where its counts stand, and how long it waits for a lock."""

    slot: int
    worker_ids: Sequence[int]
    lock_timeout: float


def run_in_worker(run: Callable[[], None], pipe: Connection) -> None:
    """Run what a process is for. Ends with it, when the main process is gone, or by an error, which is reported first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with single_threaded():
            run()
    except (ConnectionError, EOFError):
        pass  # the main process is gone, and so is everyone who could be told
    except BaseException:
        pipe.send(Crash(traceback.format_exc()))
        pipe.close()
        os._exit(1)
    finally:
        pipe.close()


class ControlledProcess:
    """A process that shows life and does what the ledger says.

    Args:
        slot: its row in the ledger.
        counters: shared counts.
        pipe: to the main process.
    """

    def __init__(self, slot: int, counters: SharedCounters, pipe: Connection) -> None:
        self._slot = slot
        self._counters = counters
        self._row = counters.table[slot]
        self._pipe = pipe
        self._pipe_poller = select.poll()
        self._pipe_poller.register(pipe.fileno(), select.POLLIN)

    def _heartbeat(self) -> None:
        self._row[CounterColumn.heartbeat] = time.monotonic_ns()

    def _poll_commands(self) -> bool:
        """Show life, obey the main process; false when it is time to end."""
        self._heartbeat()
        command = self._counters.command
        if command is Command.run:
            return not self._parent_exited()
        while command is Command.pause and not self._parent_exited():
            self._counters.wait_at_barrier(self._slot)
            self._heartbeat()
            time.sleep(0.0005)
            command = self._counters.command
        return command is Command.run

    def _parent_exited(self) -> bool:
        # The main process never writes here, so anything to read is the end of the pipe.
        return bool(self._pipe_poller.poll(0))


class WorkerProcess(ControlledProcess, ABC):
    """K stacked workers and the loop of act, learn, push and pull; whoever derives says how one pushes and pulls.

    Args:
        setup: what is trained.
        assignment: which workers live here.
        counters: shared counts.
        lock: held by whoever takes from a budget.
        pipe: to the main process.
    """

    def __init__(
        self, setup: TrainingSetup, assignment: WorkerAssignment, counters: SharedCounters, lock: OwnedLock, pipe: Connection
    ) -> None:
        super().__init__(assignment.slot, counters, pipe)
        self._setup = setup
        self._lock = lock
        first, last = assignment.worker_ids[0], assignment.worker_ids[-1] + 1
        worker_counters = counters.workers.numpy()
        members = [WorkerId(setup.seed, worker) for worker in assignment.worker_ids]
        self._worker_ids = list(assignment.worker_ids)
        self._rounds = worker_counters[0, first:last]
        self._full_windows = np.full(len(self._worker_ids), setup.learner.n_step)
        self._worker_group = WorkerGroup(
            setup, members, self._rounds, worker_counters[1, first:last], lambda _: self._take_ticket()
        )

    @abstractmethod
    def _pull_initial_weights(self) -> None:
        """Bring all rows of ``workers.weights`` to the shared weights, before the first round."""

    @abstractmethod
    def _exchange(self, result: RoundResult, finite_workers: Sequence[int]) -> None:
        """Push these workers' gradients in this order, and give each the weights that come after its own push."""

    @abstractmethod
    def _settle(self, result: RoundResult) -> None:
        """Everything of a round was pushed: count its steps."""

    @abstractmethod
    def _updates(self) -> int:
        """Updates of the shared weights so far."""

    def _between_rounds(self) -> None:
        """What is to be done before the next round."""

    def _run_burst(self) -> bool:
        """Several rounds at once, if there are any of which nothing is to be decided: by default there are none."""
        return False

    def run(self) -> None:
        """Rounds until told to stop."""
        self._pull_initial_weights()
        while self._poll_commands():
            self._between_rounds()
            if self._run_burst():
                continue
            allowed = self._reserve()
            if not allowed.any():
                time.sleep(0.002)  # the budget is spoken for; a dead worker's share may still come back
                continue
            self._round(allowed)

    def _round(self, allowed: NDArray[np.int64]) -> None:
        done = self._worker_group.round(allowed)
        self._row[CounterColumn.stepping] = 1
        self._complete(done)

    def _complete(self, result: RoundResult) -> None:
        """Exchange what a round brought, and say what happened in it."""
        acted = result.steps.nonzero()[0].tolist()
        finite = np.atleast_1d(np.isfinite(result.window_stats).all(axis=1))
        spoilt = None if finite.all() else next((k for k in acted if not finite[k]), None)
        self._exchange(result, acted if spoilt is None else acted[: acted.index(spoilt)])
        if spoilt is not None:
            self._send_non_finite(spoilt, result.window_stats[spoilt])
            return
        self._settle(result)
        self._send_episodes(result.ended)

    def _send_episodes(self, ended: Iterable[EndedEpisode]) -> None:
        """Tell the main process of episodes that ended; ``worker`` counts within this process."""
        for episode in ended:
            named = replace(episode, worker=self._worker_ids[episode.worker])
            self._pipe.send(EpisodeEvent(named, self._counters.env_steps(), self._updates()))

    def _reserve(self) -> NDArray[np.int64]:
        """How many steps each worker may take in the next window, ``[K]``."""
        k, n, budget = len(self._worker_ids), self._setup.learner.n_step, self._setup.budget
        if not self._could_act():
            return np.zeros(k, np.int64)
        unlimited = budget.max_env_steps is None and budget.max_updates is None
        if unlimited or self._counters.try_reserve_lock_free(
            self._slot, k * n, k, (self._setup.workers * n, self._setup.workers)
        ):
            return self._full_windows
        with self._lock:
            windows = self._counters.reserve_updates(self._slot, k)
            total = self._counters.reserve_steps(self._slot, windows * n)
        # Workers in an episode come first: one that can get no ticket would sit on the last steps for ever.
        allowed = np.zeros(k, np.int64)
        for i, worker in enumerate(np.argsort(~self._worker_group.episodes.in_episode, kind="stable")[:windows]):
            allowed[worker] = min(n, max(0, total - i * n))
        return allowed

    def _could_act(self) -> bool:
        """Whether any worker is in an episode or could begin one, and updates are left."""
        limit = self._setup.budget.max_updates
        if limit is not None and self._updates() >= limit:
            return False
        if self._worker_group.episodes.in_episode.any() or self._setup.budget.max_episodes is None:
            return True
        table = self._counters.table
        taken = int((table[:, CounterColumn.tickets_taken] - table[:, CounterColumn.tickets_returned]).sum())
        return self._counters.base_episodes + taken < self._setup.budget.max_episodes

    def _take_ticket(self) -> bool:
        with self._lock:
            return self._counters.take_ticket(self._slot)

    def _send_non_finite(self, k: int, window_stats: NDArray[np.float32]) -> None:
        terms = self._setup.learner.statistics.non_finite(window_stats)
        self._pipe.send(NonFinite(self._worker_ids[k], int(self._rounds[k]), terms))
        while self._poll_commands():  # the main process ends the run; nothing more is pushed meanwhile
            time.sleep(0.002)
