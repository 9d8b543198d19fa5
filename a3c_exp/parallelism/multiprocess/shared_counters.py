"""The counts that processes share. Every number has ONE writer, so a process that dies at any instruction spoils none.

What is left of a budget is never stored; it is what the budget was, less what all writers say they took.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_memory import share


class Command(IntEnum):
    """What the main process wants of its workers."""

    run = 0
    pause = 1
    stop = 2
    close = 3  # no worker is left: the parameter server ends once it has applied what was sent


class CounterColumn(IntEnum):
    """Counts of one process slot (a replacement inherits its predecessor's). The writer stands in brackets."""

    heartbeat = 0  # monotonic nanoseconds of its last heartbeat [worker]
    tickets_taken = 1  # episodes it began [worker, under the lock]
    tickets_returned = 2  # of those, how many died with it and went back [main]
    tickets_finished = 3  # of those, how many the main process has received [main]
    steps_done = 4  # environment steps in windows that were pushed [worker]
    steps_reserved = 5  # steps it may take in the window it is in [worker, under the lock; main after its death]
    pushes = 6  # gradients it applied [worker]
    push_begun = 7  # pushes it began; above push_ended while it is writing [worker]
    push_ended = 8  # [worker]
    overlapping = 9  # lock-free pushes during which another process was writing too [worker]
    paused = 10  # the number of the barrier that it waits at, or last waited at [worker]
    stepping = 11  # 1 once it took its first environment step [worker]
    updates_reserved = 12  # updates that the windows it is in may make [worker, under the lock]
    max_queue_length = 13  # gradients that once waited at the same time [server]
    compiled_at = 14  # environment step at which it went over to compiled code; 0: not yet, -1: it could not [worker]


@dataclass(frozen=True)
class SharedCounters:
    """Named views of shared int64 tensors."""

    # [5] command, updates and copy in use of locked weights, owner of the lock (a process id), number of the last barrier,
    # whether there is compiled code to go over to
    control: Tensor
    slots: Tensor  # [processes, len(CounterColumn)]
    workers: Tensor  # [2, N] each worker's windows begun and episodes begun
    budget: Budget  # what may be taken in all
    base_steps: int  # what earlier sessions of a resumed run had done
    base_episodes: int
    base_updates: int

    @classmethod
    def create(
        cls,
        processes: int,
        rounds: NDArray[np.int64],
        episodes_begun: NDArray[np.int64],
        budget: Budget,
        base: tuple[int, int, int] = (0, 0, 0),
    ) -> "SharedCounters":
        """Counters in shared memory; ``base`` is (environment steps, episodes, updates) done before."""
        workers = torch.from_numpy(np.stack([rounds, episodes_begun])).clone()
        control, slots = torch.zeros(5, dtype=torch.int64), torch.zeros(processes, len(CounterColumn), dtype=torch.int64)
        share(control, slots, workers)
        return cls(control, slots, workers, budget, *base)

    def __post_init__(self) -> None:
        for tensor in (self.control, self.slots, self.workers):
            assert tensor.is_shared(), "the counters must be shared"  # type: ignore[no-untyped-call]

    @property
    def table(self) -> NDArray[np.int64]:
        """``[processes, len(CounterColumn)]`` a view of the slots."""
        return self.slots.numpy()

    @property
    def command(self) -> Command:
        return Command(int(self.control.numpy()[0]))

    @property
    def lock_owner(self) -> NDArray[np.int64]:
        """``[1]`` the id of the process that holds the lock, 0 where none does (a view)."""
        return self.control.numpy()[2:3]

    def send_command(self, command: Command) -> None:
        """Say what all workers are to do next [main]."""
        self.control.numpy()[0] = command

    def start_barrier(self) -> int:
        """Have all workers wait between two windows; returns the barrier's number, which they write down once there [main]."""
        # In this order: a process that writes the new number has seen the command to wait, and so reads the command once more.
        self.send_command(Command.pause)
        self.control.numpy()[3] += 1
        return int(self.control[3])

    @property
    def code_ready(self) -> bool:
        """Whether compiled code is there that was not when workers started."""
        return bool(self.control.numpy()[4])

    def announce_code(self) -> None:
        """Have workers go over to compiled code [main]."""
        self.control.numpy()[4] = 1

    def wait_at_barrier(self, slot: int) -> None:
        """Say that this process pushes nothing until it has looked at the command again [worker]."""
        self.table[slot, CounterColumn.paused] = int(self.control[3])

    def env_steps(self) -> int:
        return self.base_steps + int(self.table[:, CounterColumn.steps_done].sum())

    def episodes(self) -> int:
        """Finished episodes whose record the main process has."""
        return self.base_episodes + int(self.table[:, CounterColumn.tickets_finished].sum())

    def tickets_in_use(self) -> int:
        """Episodes begun in this session, without those that were lost with their process."""
        table = self.table
        return int((table[:, CounterColumn.tickets_taken] - table[:, CounterColumn.tickets_returned]).sum())

    def take_ticket(self, slot: int) -> bool:
        """Take the right to one episode. Call under the lock."""
        limit = self.budget.max_episodes
        if limit is not None and self.base_episodes + self.tickets_in_use() >= limit:
            return False
        self.table[slot, CounterColumn.tickets_taken] += 1
        return True

    def reserve_steps(self, slot: int, wanted: int) -> int:
        """Take the right to at most ``wanted`` steps, until ``settle_steps``; returns how many. Call under the lock."""
        limit, columns = self.budget.max_env_steps, (CounterColumn.steps_done, CounterColumn.steps_reserved)
        return self._reserve(slot, wanted, None if limit is None else limit - self.base_steps, *columns)

    def reserve_updates(self, slot: int, wanted: int) -> int:
        limit, columns = self.budget.max_updates, (CounterColumn.pushes, CounterColumn.updates_reserved)
        return self._reserve(slot, wanted, None if limit is None else limit - self.base_updates, *columns)

    def _reserve(self, slot: int, wanted: int, limit: int | None, done: CounterColumn, reserved: CounterColumn) -> int:
        if limit is not None:
            wanted = max(0, min(wanted, limit - int((self.table[:, done] + self.table[:, reserved]).sum())))
        self.table[slot, reserved] = wanted
        return wanted

    def try_reserve_lock_free(self, slot: int, steps: int, updates: int, max_demand: tuple[int, int]) -> bool:
        """Reserve ``steps`` and ``updates`` without the lock, where more is left than all processes may want at the same time,
        ``max_demand``. False, and nothing is taken, elsewhere."""
        table, budget = self.table, self.budget
        # Written down before the others' are read. A process that does the same meanwhile, and read too early to see this,
        # leaves enough: from here to the end of the budget is further than all can come in that moment.
        row = table[slot]
        row[CounterColumn.steps_reserved], row[CounterColumn.updates_reserved] = steps, updates
        counts = table.sum(axis=0)
        done = counts[CounterColumn.steps_done] + counts[CounterColumn.steps_reserved]
        made = counts[CounterColumn.pushes] + counts[CounterColumn.updates_reserved]
        plenty = (budget.max_env_steps is None or budget.max_env_steps - self.base_steps - done >= 8 * max_demand[0]) and (
            budget.max_updates is None or budget.max_updates - self.base_updates - made >= 8 * max_demand[1]
        )
        if not plenty:
            row[CounterColumn.steps_reserved] = row[CounterColumn.updates_reserved] = 0
        return bool(plenty)

    def settle_steps(self, slot: int, taken: int) -> None:
        """Say how many of the reserved steps were taken; the rest goes back, and so do reserved updates."""
        # In this order: between the two lines too much is promised, which others can wait out, never too little.
        self.table[slot, CounterColumn.steps_done] += taken
        self.table[slot, CounterColumn.steps_reserved] = 0
        self.table[slot, CounterColumn.updates_reserved] = 0

    @staticmethod
    def settle_part(row: NDArray[np.int64], steps: int, updates: int) -> None:
        """So much of what the slot of this ``row`` has reserved was used up, in windows that were pushed, in the same order."""
        row[CounterColumn.steps_done] += steps
        row[CounterColumn.steps_reserved] -= steps
        row[CounterColumn.updates_reserved] -= updates

    def release_dead(self, slot: int, keep_reserved: bool = False, expected: int = 0) -> int:
        """Give back what a dead process held, after all it said was received; returns how many episodes that leaves.
        With ``keep_reserved`` its steps stay reserved until its replacement, which waits until all is counted, gives them back.
        So many ``expected`` episodes of it will yet be finished.
        """
        row = self.table[slot]
        lost = int(row[CounterColumn.tickets_taken] - row[CounterColumn.tickets_returned] - row[CounterColumn.tickets_finished])
        lost -= expected
        row[CounterColumn.tickets_returned] += lost
        if not keep_reserved:
            row[CounterColumn.steps_reserved] = row[CounterColumn.updates_reserved] = 0
        row[CounterColumn.push_ended] = row[CounterColumn.push_begun]
        row[CounterColumn.paused] = row[CounterColumn.compiled_at] = 0
        return lost


class WorkerBudget:
    """What the workers of a process may still do; ``lock`` is held where something is taken of which little is left."""

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
        """``[K]`` steps that each worker may take in the next window; ``updates`` tells those of the shared weights so far."""
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
        steps, updates = rounds * self._steps_per_round, rounds * self._num_workers
        demand = rounds * self._max_demand[0], rounds * self._max_demand[1]
        return self._counters.try_reserve_lock_free(self._slot, steps, updates, demand)

    def settle_burst_round(self) -> None:
        """One round of a burst was applied; the others stay reserved."""
        self._counters.settle_part(self._row, self._steps_per_round, self._num_workers)
