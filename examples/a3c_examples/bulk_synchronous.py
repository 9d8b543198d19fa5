"""A parallelism: all workers pull at once, after all have pushed. What stacked workers must not do if they are to be A3C."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.gradient import WorkerGradient, episodes_of_workers
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult


class BulkSynchronous(SingleProcessStrategy):
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
        self._pending: dict[int, list[WorkerGradient]] = {}
        self._pulled_at: dict[int, int] = {}

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        if self._pending[training.index]:
            return
        for worker in range(self.workers_per_training):
            if training.reserve(worker, self.in_episode(training, worker)):
                allowed[worker] = training.reserved_steps[worker]

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        first = training.index * self.workers_per_training
        ended = episodes_of_workers(result.ended, first, self.workers_per_training)
        self._pending[training.index] = [
            WorkerGradient(
                result.gradients[first + worker],
                result.window_stats[first + worker],
                [worker],
                [int(result.steps[first + worker])],
                [episode for episode in ended if episode.worker == worker],
            )
            for worker in participants.tolist()
        ]

    def next_update(self, training: SeedTraining, until: int) -> bool:
        waiting = self._pending[training.index]
        if not waiting:
            return False
        training.push(waiting.pop(0), lag=training.updates - self._pulled_at[training.index])
        if not waiting:
            self._pull(training)
        return True

    def _pull(self, training: SeedTraining) -> None:
        first = training.index * self.workers_per_training
        self.worker_group.weights[first : first + self.workers_per_training] = training.weights
        self._pulled_at[training.index] = training.updates

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        return {
            "pending_gradients": [one.state_dict() for one in self._pending[training.index]],
            "pulled_at": self._pulled_at[training.index],
        }

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        self._pending[training.index] = []
        self._pull(training)
        if state_dict is not None and state_dict["pending_gradients"]:
            # In the middle of a round. Its workers' own weights are not needed again: the next thing they do is pull.
            waiting = [WorkerGradient.from_state_dict(one, training.weights.device) for one in state_dict["pending_gradients"]]
            self._pending[training.index] = waiting
            self._pulled_at[training.index] = state_dict["pulled_at"]
            training.episodes_in_progress += sum(
                len(one.ended) for one in waiting
            )  # ended, but not in the books before their push
