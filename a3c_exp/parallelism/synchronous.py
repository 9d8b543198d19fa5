"""A2C: all workers' windows make one batch and one update, and everyone waits for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.core.errors import ConfigError
from a3c_exp.parallelism.base import Task
from a3c_exp.parallelism.gradient import Gradient, named_by_worker
from a3c_exp.parallelism.in_process import InProcess
from a3c_exp.parallelism.replica import Replica
from a3c_exp.parallelism.workers import Round


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
        replica.push(pushed, lag=0)
        return True

    def _details(self, replica: Replica) -> dict[str, Any]:
        return {}

    def _restore(self, replica: Replica, details: dict[str, Any] | None) -> None:
        pass
