"""A parallelism: all workers pull at once, after all have pushed. What stacked workers must not do if they are to be A3C."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.single_process.base import InProcess
from a3c_exp.parallelism.single_process.gradient import Gradient, named_by_worker
from a3c_exp.parallelism.single_process.seed_training import Replica
from a3c_exp.parallelism.worker_group import Round


class BulkSynchronous(InProcess):
    """N windows from the same weights, N updates one after another, then a barrier at which everyone pulls (Valiant 1990).

    Like A3C it makes one update a window, and like A2C nobody acts while others push. The i-th push of a round is i updates
    stale, so the mean policy lag is (N - 1) / 2, where A3C's is N - 1: an easy way to believe that A3C stands staleness well.

    Args:
        env_processes: processes that step the environments; 0 steps them here.
    """

    kind = "bulk_synchronous"
    share_weights = False

    def __init__(self, env_processes: int = 0) -> None:
        super().__init__(env_processes)
        self._waiting: dict[int, list[Gradient]] = {}
        self._pulled_at: dict[int, int] = {}

    def _allow(self, replica: Replica, allowed: NDArray[np.int64]) -> None:
        if self._waiting[replica.index]:
            return
        for worker in range(self.workers_each):
            if replica.reserve(worker, self.in_episode(replica, worker)):
                allowed[worker] = replica.steps[worker]

    def _take(self, replica: Replica, done: Round, participants: NDArray[np.int64]) -> None:
        first = replica.index * self.workers_each
        ended = named_by_worker(done.ended, first, self.workers_each)
        self._waiting[replica.index] = [
            Gradient(
                done.gradients[first + worker],
                done.figures[first + worker],
                [worker],
                [int(done.steps[first + worker])],
                [episode for episode in ended if episode.worker == worker],
            )
            for worker in participants.tolist()
        ]

    def _push_next(self, replica: Replica, until: int) -> bool:
        waiting = self._waiting[replica.index]
        if not waiting:
            return False
        replica.push(waiting.pop(0), lag=replica.updates - self._pulled_at[replica.index])
        if not waiting:
            self._pull(replica)
        return True

    def _pull(self, replica: Replica) -> None:
        first = replica.index * self.workers_each
        self.workers.weights[first : first + self.workers_each] = replica.weights
        self._pulled_at[replica.index] = replica.updates

    def _details(self, replica: Replica) -> dict[str, Any]:
        return {
            "waiting": [one.plain() for one in self._waiting[replica.index]],
            "pulled_at": self._pulled_at[replica.index],
        }

    def _restore(self, replica: Replica, details: dict[str, Any] | None) -> None:
        self._waiting[replica.index] = []
        self._pull(replica)
        if details is not None and details["waiting"]:
            # In the middle of a round. Its workers' own weights are not needed again: the next thing they do is pull.
            waiting = [Gradient.of(one, replica.weights.device) for one in details["waiting"]]
            self._waiting[replica.index] = waiting
            self._pulled_at[replica.index] = details["pulled_at"]
            replica.under_way += sum(len(one.ended) for one in waiting)  # ended, but not in the books before their push
