"""A2C: all workers' windows make one batch and one update, for which every worker waits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.round_result import EndedByRound
from a3c_exp.parallelism.single_process.base import SeedPlace, SingleProcessStrategy
from a3c_exp.parallelism.single_process.pending_gradients import WorkerGradient
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.single_process.update_rule import UpdateRule
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup
from a3c_exp.system.errors import ConfigError


class Synchronous(SingleProcessStrategy):
    """One update for all workers' windows: what OpenAI called A2C, the synchronous A3C. The policy lag is 0.

    Args:
        env_processes, processes, seed_block, on, address: as ``SingleProcessStrategy`` takes them.
    """

    def __init__(
        self,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
        on: SeedPlace = "local",
        address: str | None = None,
    ) -> None:
        super().__init__(SynchronousRule(), env_processes, processes, seed_block, on, address)


class SynchronousRule(UpdateRule):
    """One update a round, of all workers' windows."""

    name = "synchronous"
    share_weights = True

    def __init__(self) -> None:
        self._pending: dict[int, WorkerGradient] = {}

    def check(self, setup: TrainingSetup) -> None:
        if setup.per_worker.lr is not None:
            raise ConfigError(
                "per_worker.lr gives each worker a learning rate of its own, but in parallelism=synchronous all workers make "
                "one update together. Try per_worker.lr.kind=none, or parallelism=deterministic"
            )

    def start(self, setup: TrainingSetup, worker_group: WorkerGroup, trainings: Sequence[SeedTraining]) -> None:
        if worker_group.has_fused_rounds:
            self.sequential_updates = SequentialUpdates.try_compile(worker_group, setup.optimizer, 1)
        self.has_bursts = self.sequential_updates is not None

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        n = len(allowed)
        if training.can_reserve(2 * n):
            training.reserve_all(np.arange(n))
            allowed[:] = training.reserved_steps
            return
        for worker in range(n):
            if training.reserve(worker):
                allowed[worker] = training.reserved_steps[worker]

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        workers, steps = participants.tolist(), result.steps[participants].tolist()
        gradient = WorkerGradient(result.gradients[0], result.window_stats[0], workers, steps, result.ended)
        self._pending[training.index] = gradient

    def next_update(self, training: SeedTraining, until: int) -> bool:
        gradient = self._pending.pop(training.index, None)
        if gradient is None:
            return False
        training.push(gradient, lag=0, sequential_updates=self.sequential_updates)
        return True

    def max_burst_rounds(self, training: SeedTraining, until: int) -> int:
        workers = np.arange(len(training.in_episode))
        # Room for more than is reserved here, which may not be used, and then for the reservations that follow.
        if not training.can_reserve(4 * len(workers)):
            return 0
        training.reserve_all(workers)
        return training.max_burst_rounds(until)

    def push_orders(self, training: SeedTraining, rounds: int) -> NDArray[np.int64] | None:
        return np.zeros((rounds, 1), np.int64)

    def settle_burst(
        self,
        training: SeedTraining,
        orders: NDArray[np.int64],
        window_stats: NDArray[np.float32],
        ended: EndedByRound,
    ) -> None:
        if len(orders):
            training.settle_burst(window_stats, np.zeros(orders.shape, np.int64), ended)
        training.reserved_steps[:] = training.tickets[:] = 0  # as after any update
