"""One worker process's share of the budget: steps, updates and episodes are reserved before they are used."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters


class WorkerBudget:
    """What the K workers of one process may still do.

    Args:
        setup: what is trained.
        counters: the shared counters.
        slot: this process's row of them.
        num_workers: K.
        lock: held while something is taken from a budget of which little is left.
    """

    def __init__(self, setup: TrainingSetup, counters: SharedCounters, slot: int, num_workers: int, lock: OwnedLock) -> None:
        self._budget, self._n_step = setup.budget, setup.learner.n_step
        self._counters, self._slot, self._row = counters, slot, counters.table[slot]
        self._num_workers, self._lock = num_workers, lock
        self._steps_per_round = num_workers * self._n_step
        self._max_demand = setup.workers * self._n_step, setup.workers  # steps and updates of a round of all processes
        self._full_windows = np.full(num_workers, self._n_step)

    def take_ticket(self, worker: int) -> bool:
        """Take the right to one episode; false if there is none now."""
        with self._lock:
            return self._counters.take_ticket(self._slot)

    def reserve_round(self, in_episode: NDArray[np.bool_], updates: Callable[[], int]) -> NDArray[np.int64]:
        """How many steps each worker may take in the next window, ``[K]``.

        Args:
            in_episode: ``[K]`` which workers are in an episode.
            updates: gives the updates of the shared weights so far.
        """
        k, n, budget = self._num_workers, self._n_step, self._budget
        allowed = np.zeros(k, np.int64)
        if not self._can_act(in_episode, updates):
            return allowed
        unlimited = budget.max_env_steps is None and budget.max_updates is None
        if unlimited or self._counters.try_reserve_lock_free(self._slot, self._steps_per_round, k, self._max_demand):
            return self._full_windows
        with self._lock:
            windows = self._counters.reserve_updates(self._slot, k)
            total = self._counters.reserve_steps(self._slot, windows * n)
        # Workers in an episode come first: one that can get no ticket would keep the last steps for ever.
        for i, worker in enumerate(np.argsort(~in_episode, kind="stable")[:windows]):
            allowed[worker] = min(n, max(0, total - i * n))
        return allowed

    def _can_act(self, in_episode: NDArray[np.bool_], updates: Callable[[], int]) -> bool:
        """Whether any worker is in an episode or could begin one, and updates are left."""
        limit = self._budget.max_updates
        if limit is not None and updates() >= limit:
            return False
        if in_episode.any() or self._budget.max_episodes is None:
            return True
        return self._counters.base_episodes + self._counters.tickets_in_use() < self._budget.max_episodes

    def reserve_burst(self, rounds: int) -> bool:
        """Reserve this many rounds of full windows of all workers; false, and nothing is reserved, where little is left."""
        steps, updates = self._max_demand
        return self._counters.try_reserve_lock_free(
            self._slot, rounds * self._steps_per_round, rounds * self._num_workers, (rounds * steps, rounds * updates)
        )

    def settle_burst_round(self) -> None:
        """One round of a burst was applied; the others stay reserved."""
        self._counters.settle_part(self._row, self._steps_per_round, self._num_workers)

    def release(self) -> None:
        """Give back all that is reserved."""
        self._counters.settle_steps(self._slot, 0)
