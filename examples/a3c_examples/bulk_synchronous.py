"""A parallelism: all workers pull at once, after all have pushed. What stacked workers must not do if they are to be A3C."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.single_process import PendingGradients, SeedTraining, SingleProcessStrategy, UpdateRule
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup


class BulkSynchronous(SingleProcessStrategy):
    """N windows from the same weights, N updates one after another, then a barrier at which every worker pulls (Valiant 1990).

    Like A3C it makes one update a window, and like A2C no worker acts while others push. The i-th push of a round is i updates
    stale, so the mean policy lag is (N - 1) / 2, where A3C's is N - 1: an easy way to believe that A3C stands staleness well.

    Args:
        env_processes: processes that step the environments; 0 steps them here.
    """

    def __init__(self, env_processes: int = 0) -> None:
        super().__init__(BulkSynchronousRule(), env_processes)


class BulkSynchronousRule(UpdateRule):
    """A round of windows, their updates in the order of workers, and a pull of all workers."""

    name = "bulk_synchronous"
    share_weights = False

    def __init__(self) -> None:
        self.pending: list[PendingGradients] = []  # of each training
        self.pulled_at: list[int] = []

    def start(self, setup: TrainingSetup, worker_group: WorkerGroup, trainings: Sequence[SeedTraining]) -> None:
        self.pending = [PendingGradients(setup.workers, len(setup.learner.statistics)) for _ in trainings]
        self.pulled_at = [0] * len(trainings)

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        for worker in range(len(allowed)):
            if training.reserve(worker):
                allowed[worker] = training.reserved_steps[worker]

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        self.pending[training.index].add(result, participants)

    def next_update(self, training: SeedTraining, until: int) -> bool:
        pending = self.pending[training.index]
        if not pending.is_pending.any():
            return False
        worker = int(pending.is_pending.argmax())
        training.push(pending.pop(worker), lag=training.updates - self.pulled_at[training.index])
        if not pending.is_pending.any():
            self.pull(training)
        return True

    def pull(self, training: SeedTraining) -> None:
        training.worker_weights[:] = training.weights
        self.pulled_at[training.index] = training.updates

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        return {
            "pending_gradients": self.pending[training.index].state_dict(),
            "pulled_at": self.pulled_at[training.index],
        }

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        self.pull(training)
        if state_dict is not None:
            pending = self.pending[training.index]
            pending.load_state_dict(state_dict["pending_gradients"], training.weights.device)
            if pending.is_pending.any():
                # In the middle of a round. The workers' own weights are not needed again: the next thing they do is pull.
                self.pulled_at[training.index] = state_dict["pulled_at"]
                training.episodes_in_progress += pending.ended_episodes  # they are counted with their update
