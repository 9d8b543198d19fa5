"""A3C as published: processes push to and pull from shared weights, and no process waits for another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from a3c_exp.algorithm.normalization import NormalizingOptimizer
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, TrainingSetup
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.system.errors import ConfigError


@dataclass(eq=False)
class Hogwild(MultiprocessStrategy):
    """Asynchronous processes over shared weights and a shared optimizer (Mnih et al. 2016, with Hogwild! updates).

    With one process a worker it is the literal A3C; otherwise each process hosts its share of the workers, stacked, which push
    one after another.

    Args:
        lock: whether a push takes a lock. Without it two processes that write at the same moment can lose single elements.
        one_update_per_process: the workers of a process act with one copy of the weights, and the mean of their gradients is
            one push: each process is then one worker with several environments. For convolutions, which cannot be stacked
            over different weights, a batch of all pictures costs a fraction of as many single ones.
        pull_together: the workers of a process pull when all of them have pushed, and so act with equal weights: a network that
            is not stackable sees all their pictures as one batch. Each worker's gradient is still a push of its own. ``None``:
            if the network is not stackable.
        others: as ``MultiprocessStrategy`` takes them.
    """

    lock: bool = False
    one_update_per_process: bool = False
    pull_together: bool | None = None

    name = "hogwild"
    applies_updates = True

    @property
    def sharing(self) -> Sharing:
        return Sharing(self.one_update_per_process, self.pull_together)

    def check(self, setup: TrainingSetup) -> None:
        super().check(setup)
        if self.one_update_per_process and setup.per_worker.lr is not None:
            raise ConfigError(
                "per_worker.lr gives each worker a learning rate of its own, but with parallelism.one_update_per_process=true "
                "the workers of a process make one update together. Try per_worker.lr.kind=none, or "
                "parallelism.one_update_per_process=false"
            )

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        if not self.lock and isinstance(setup.optimizer, NormalizingOptimizer):
            setup = replace(setup, optimizer=setup.optimizer.without_merging())  # see ``ProcessStatistics``
        return super().start(setup, states)

    def _prepare(
        self, setup: TrainingSetup, state: TrainingState, folder: Path
    ) -> tuple[Callable[..., None], Callable[..., Any]]:
        options = self.lock, self.lock_timeout, len(self._workers_by_process), setup.statistics_size
        block = SharedBuffer.create(state.weights, state.optimizer_state, folder / "lock", *options)
        self._shared_weights = SharedWeights(block, self._counters, None, setup.optimizer)
        return hogwild_worker.main, lambda index: (setup, self._assignment(index), block, self._counters)

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
