"""A2C: all workers' windows make one batch and one update, and everyone waits for it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Event, Task
from a3c_exp.parallelism.compiled.sequential_updates import PushSeries
from a3c_exp.parallelism.single_process.base import InProcess
from a3c_exp.parallelism.single_process.burst_runner import Lockstep
from a3c_exp.parallelism.single_process.gradient import Gradient, named_by_worker
from a3c_exp.parallelism.single_process.seed_training import Replica
from a3c_exp.parallelism.worker_group import Round
from a3c_exp.system.errors import ConfigError


class Synchronous(InProcess):
    """Advantage actor-critic with one update for all workers' windows: what OpenAI called A2C, the synchronous A3C.

    There is one set of weights a training and nobody acts with older ones: policy lag is 0.

    Args:
        env_processes: processes that step the environments; 0 steps them here.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.
    """

    kind = "synchronous"
    share_weights = True

    def __init__(self, env_processes: int = 0, processes: int | None = None, seed_block: int | None = None) -> None:
        super().__init__(env_processes, processes, seed_block)
        self._ready: dict[int, Gradient] = {}
        self._series: PushSeries | None = None

    def start(self, task: Task, states: Sequence[TrainingState]) -> Sequence[Event]:
        events = super().start(task, states)
        self._series = PushSeries.of(self.workers, task.optimizer, 1) if self.workers.does_whole_rounds else None
        if self._series is not None:
            pulled = torch.zeros(1, self.workers.layout.size)  # by nobody: who pushes has no copy of the weights
            within = np.split(self.workers.episodes.in_episode, len(self.replicas))
            trainings = [BatchTraining(replica, pulled, some) for replica, some in zip(self.replicas, within, strict=True)]
            self.lockstep = Lockstep(self.workers, trainings, self._series)
        return events

    def check(self, task: Task) -> None:
        super().check(task)
        if task.exploration.lr is not None:
            raise ConfigError(
                "per_worker.lr gives each worker a learning rate of its own, but in parallelism=synchronous all workers make "
                "one update together. Try per_worker.lr.kind=none, or parallelism=deterministic"
            )

    def _allow(self, replica: Replica, allowed: NDArray[np.int64]) -> None:
        n = self.workers_each
        if replica.has_room_for(2 * n):
            within = self.workers.episodes.in_episode[replica.index * n : (replica.index + 1) * n]
            replica.reserve_all(np.arange(n), within)
            allowed[:] = replica.steps
            return
        for worker in range(n):
            if replica.reserve(worker, self.in_episode(replica, worker)):
                allowed[worker] = replica.steps[worker]

    def _take(self, replica: Replica, done: Round, participants: NDArray[np.int64]) -> None:
        first = replica.index * self.workers_each
        self._ready[replica.index] = Gradient(
            done.gradients[replica.index],
            done.figures[replica.index],
            participants.tolist(),
            done.steps[first + participants].tolist(),
            named_by_worker(done.ended, first, self.workers_each),
        )

    def _push_next(self, replica: Replica, until: int) -> bool:
        pushed = self._ready.pop(replica.index, None)
        if pushed is None:
            return False
        replica.push(pushed, lag=0, series=self._series)
        return True

    def _details(self, replica: Replica) -> dict[str, Any]:
        return {}

    def _restore(self, replica: Replica, details: dict[str, Any] | None) -> None:
        pass


class BatchTraining(NamedTuple):
    """A training in lockstep whose workers push together.

    Attributes:
        replica: its weights and counters.
        own: ``[1, P]`` that nobody reads.
        in_episode: ``[N]`` who is within one, as it changes.
    """

    replica: Replica
    own: Tensor
    in_episode: NDArray[np.bool_]

    def whole_rounds(self, until: int) -> int:
        replica, n = self.replica, len(self.in_episode)
        # Room for more than is reserved here, which may come to nothing, and then for whoever reserves next.
        if not replica.has_room_for(4 * n):
            return 0
        replica.reserve_all(np.arange(n), self.in_episode)
        return replica.whole_rounds(until)

    def orders(self, rounds: int) -> NDArray[np.int64] | None:
        return np.zeros((rounds, 1), np.int64)

    def settle(self, order: NDArray[np.int64], figures: NDArray[np.float32]) -> None:
        if len(order):
            self.replica.settle_rounds(figures, np.zeros(order.shape, np.int64))
        self.replica.steps[:] = self.replica.tickets[:] = 0  # as after any push
