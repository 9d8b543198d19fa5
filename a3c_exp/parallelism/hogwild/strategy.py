"""A3C as published: processes push to and pull from shared weights, and no process waits for another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy, OnDeath, Seconds
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.worker_group import WorkerGroup
from a3c_exp.system.child_process import StartMethod


class Hogwild(MultiprocessStrategy):
    """Asynchronous processes over shared weights and a shared optimizer (Mnih et al. 2016, with Hogwild! updates).

    Args:
        processes: how many; ``None`` takes as many as this machine has cores, never more than workers. With one process a
            worker it is the literal A3C; otherwise each process hosts its share of the workers, stacked, which push one after
            another.
        lock: whether a push takes a lock. Without it two processes that write at the same moment can lose single elements.
        on_worker_death: restart or fail.
        max_restarts: deaths that a run survives.
        worker_timeout: seconds without a heartbeat after which a worker process counts as dead.
        lock_timeout: seconds to wait for a lock before an error names its holder; workers wait ``worker_timeout`` longer.
        start_method: forkserver (imports torch once) or spawn.

    Raises:
        ConfigError: a value is out of its range.
    """

    name = "hogwild"

    def __init__(
        self,
        processes: PositiveInt | None = None,
        lock: bool = False,
        on_worker_death: OnDeath = OnDeath.restart,
        max_restarts: NonNegativeInt = 10,
        worker_timeout: Seconds = 60.0,
        lock_timeout: Seconds = 5.0,
        start_method: StartMethod = "forkserver",
    ) -> None:
        super().__init__(processes, on_worker_death, max_restarts, worker_timeout, lock_timeout, start_method)
        self._lock = lock

    def _prepare(
        self, setup: TrainingSetup, state: TrainingState, folder: Path
    ) -> tuple[Callable[..., None], Callable[..., Any]]:
        block = SharedBuffer.create(state.weights, state.optimizer_state, folder / "lock", self._lock, self._lock_timeout)
        self._shared_weights = SharedWeights(block, self._counters, None, setup.optimizer)
        return hogwild_worker.main, lambda index: (setup, self._assignment(index), block, self._counters)

    def _compile(self, setup: TrainingSetup, worker_group: WorkerGroup) -> None:
        SequentialUpdates.try_compile(worker_group, setup.optimizer, len(worker_group.worker_ids))

    def _read_state(self) -> tuple[Tensor, Tensor]:
        return self._shared_weights.read()

    def _updates(self) -> int:
        return self._shared_weights.updates()

    def _release(self) -> None:
        self._shared_weights.close()

    def summary(self, index: int = 0) -> dict[str, Any]:
        table = self._counters.table
        pushes = int(table[:, CounterColumn.pushes].sum())
        overlapping = int(table[:, CounterColumn.overlapping].sum())
        # Pushes during which another process was writing too: the most that could have lost an element to a race.
        overlap = 0.0 if self._lock or not pushes else overlapping / pushes
        return {**super().summary(index), "lock": self._lock, "overlapping_pushes": overlap}
