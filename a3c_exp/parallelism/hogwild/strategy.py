"""A3C as published: processes push to and pull from shared weights, and no process waits for another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.worker_group import WorkerGroup


@dataclass(eq=False)
class Hogwild(MultiprocessStrategy):
    """Asynchronous processes over shared weights and a shared optimizer (Mnih et al. 2016, with Hogwild! updates).

    With one process a worker it is the literal A3C; otherwise each process hosts its share of the workers, stacked, which push
    one after another.

    Args:
        lock: whether a push takes a lock. Without it two processes that write at the same moment can lose single elements.
        others: as ``MultiprocessStrategy`` takes them.
    """

    lock: bool = False

    name = "hogwild"

    def _prepare(
        self, setup: TrainingSetup, state: TrainingState, folder: Path
    ) -> tuple[Callable[..., None], Callable[..., Any]]:
        options = self.lock, self.lock_timeout, len(self._workers_by_process), setup.statistics_size
        block = SharedBuffer.create(state.weights, state.optimizer_state, folder / "lock", *options)
        self._shared_weights = SharedWeights(block, self._counters, None, setup.optimizer)
        return hogwild_worker.main, lambda index: (setup, self._assignment(index), block, self._counters)

    def _compile(self, setup: TrainingSetup, worker_group: WorkerGroup) -> None:
        SequentialUpdates.try_compile(worker_group, setup.optimizer, len(worker_group.worker_ids))

    def _read_state(self) -> tuple[Tensor, Tensor]:
        return self._shared_weights.read()

    def counts(self, index: int = 0) -> Counts:
        return Counts(self._counters.env_steps(), self._shared_weights.updates(), self._counters.episodes())

    def stop(self) -> Sequence[Event]:
        events = super().stop()
        self._shared_weights.lock.close()
        return events

    def summary(self, index: int = 0) -> dict[str, Any]:
        table = self._counters.table
        pushes, overlapping = (int(table[:, column].sum()) for column in (CounterColumn.pushes, CounterColumn.overlapping))
        # Pushes during which another process was writing too: the most that could have lost an element to a race.
        overlap = 0.0 if self.lock or not pushes else overlapping / pushes
        return {**super().summary(index), "lock": self.lock, "overlapping_pushes": overlap}
