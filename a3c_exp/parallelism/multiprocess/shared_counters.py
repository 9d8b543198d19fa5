"""The counts that processes share. Every number has ONE writer, so a process that dies at any instruction spoils none.

What is left of a budget is never stored; it is what the budget was, less what all writers say they took.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.config.budget import Budget
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


@dataclass(frozen=True)
class SharedCounters:
    """Named views of two shared int64 tensors.

    Attributes:
        control: ``[4]`` command, updates and copy in use of locked weights, owner of the lock (a process id), number of the
            last barrier.
        slots: ``[processes, len(CounterColumn)]``.
        workers: ``[2, N]`` each worker's windows begun and episodes begun.
        budget: what may be taken in all.
        base_steps, base_episodes, base_updates: what earlier sessions of a resumed run had done.
    """

    control: Tensor
    slots: Tensor
    workers: Tensor
    budget: Budget
    base_steps: int
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
        control, slots = torch.zeros(4, dtype=torch.int64), torch.zeros(processes, len(CounterColumn), dtype=torch.int64)
        share(control, slots, workers)
        return cls(control, slots, workers, budget, *base)

    def __post_init__(self) -> None:
        for tensor in (self.control, self.slots, self.workers):
            assert tensor.is_shared(), "the counters must be shared"  # type: ignore[no-untyped-call]

    @property
    def table(self) -> NDArray[np.int64]:
        """``[processes, len(CounterColumn)]`` the slots, as numpy (a view)."""
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
        if self.budget.max_env_steps is not None:
            table = self.table
            promised = int((table[:, CounterColumn.steps_done] + table[:, CounterColumn.steps_reserved]).sum())
            wanted = max(0, min(wanted, self.budget.max_env_steps - self.base_steps - promised))
        self.table[slot, CounterColumn.steps_reserved] = wanted
        return wanted

    def try_reserve_lock_free(self, slot: int, steps: int, updates: int, max_demand: tuple[int, int]) -> bool:
        """Both of the next two at once and without the lock, where so much is left that it cannot matter who comes first;
        false, and nothing is taken, elsewhere.

        Args:
            steps, updates: wanted.
            max_demand: what all processes together may want at the same time.
        """
        table, budget = self.table, self.budget
        # Written down before the others' are read. A process that does the same meanwhile, and read too early to see this,
        # leaves enough for it: from here to the end of the budget is further than all can come in that moment.
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

    def reserve_updates(self, slot: int, wanted: int) -> int:
        """Take the right to at most ``wanted`` updates, until ``settle_steps``; returns how many. Call under the lock."""
        if self.budget.max_updates is not None:
            table = self.table
            promised = int((table[:, CounterColumn.pushes] + table[:, CounterColumn.updates_reserved]).sum())
            wanted = max(0, min(wanted, self.budget.max_updates - self.base_updates - promised))
        self.table[slot, CounterColumn.updates_reserved] = wanted
        return wanted

    def settle_steps(self, slot: int, taken: int) -> None:
        """Say how many of the reserved steps were taken; the rest goes back, and so do reserved updates."""
        # In this order: between the two lines too much is promised, which others can wait out, never too little.
        self.table[slot, CounterColumn.steps_done] += taken
        self.table[slot, CounterColumn.steps_reserved] = 0
        self.table[slot, CounterColumn.updates_reserved] = 0

    @staticmethod
    def settle_part(row: NDArray[np.int64], steps: int, updates: int) -> None:
        """Some of what a slot has reserved was used up, in windows that were pushed; the rest stays reserved.

        Args:
            row: the slot's, ``[len(CounterColumn)]``.
            steps, updates: used up.
        """
        # In this order, as in ``settle_steps``.
        row[CounterColumn.steps_done] += steps
        row[CounterColumn.steps_reserved] -= steps
        row[CounterColumn.updates_reserved] -= updates

    def release_dead(self, slot: int, keep_reserved: bool = False) -> int:
        """Give back what a dead process held, after all it said was received; returns how many episodes that leaves.

        With ``keep_reserved`` its steps stay reserved: what it reported may not be counted yet, and its replacement, which
        waits for that, gives them back.
        """
        row = self.table[slot]
        lost = int(row[CounterColumn.tickets_taken] - row[CounterColumn.tickets_returned] - row[CounterColumn.tickets_finished])
        row[CounterColumn.tickets_returned] += lost
        if not keep_reserved:
            row[CounterColumn.steps_reserved] = row[CounterColumn.updates_reserved] = 0
        row[CounterColumn.push_ended] = row[CounterColumn.push_begun]
        row[CounterColumn.paused] = 0
        return lost
