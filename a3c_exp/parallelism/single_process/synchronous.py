"""A2C: all workers' windows make one batch and one update, and everyone waits for it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import Event, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.burst_runner import BurstRunner
from a3c_exp.parallelism.single_process.gradient import WorkerGradient, episodes_of_workers
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult
from a3c_exp.system.errors import ConfigError


class Synchronous(SingleProcessStrategy):
    """Advantage actor-critic with one update for all workers' windows: what OpenAI called A2C, the synchronous A3C.

    There is one set of weights a training and nobody acts with older ones: policy lag is 0.

    Args:
        env_processes: processes that step the environments; 0 steps them here.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.
    """

    kind = "synchronous"
    share_weights = True

    def __init__(
        self,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
    ) -> None:
        super().__init__(env_processes, processes, seed_block)
        self._pending: dict[int, WorkerGradient] = {}
        self._sequential_updates: SequentialUpdates | None = None

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        events = super().start(setup, states)
        self._sequential_updates = (
            SequentialUpdates.try_compile(self.worker_group, setup.optimizer, 1) if self.worker_group.has_fused_rounds else None
        )
        if self._sequential_updates is not None:
            pulled = torch.zeros(1, self.worker_group.layout.size)  # by nobody: who pushes has no copy of the weights
            within = np.split(self.worker_group.episodes.in_episode, len(self.trainings))
            trainings = [SynchronousBurst(replica, pulled, some) for replica, some in zip(self.trainings, within, strict=True)]
            self.burst_runner = BurstRunner(self.worker_group, trainings, self._sequential_updates)
        return events

    def check(self, setup: TrainingSetup) -> None:
        super().check(setup)
        if setup.per_worker.lr is not None:
            raise ConfigError(
                "per_worker.lr gives each worker a learning rate of its own, but in parallelism=synchronous all workers make "
                "one update together. Try per_worker.lr.kind=none, or parallelism=deterministic"
            )

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        n = self.workers_per_training
        if training.can_reserve(2 * n):
            within = self.worker_group.episodes.in_episode[training.index * n : (training.index + 1) * n]
            training.reserve_all(np.arange(n), within)
            allowed[:] = training.reserved_steps
            return
        for worker in range(n):
            if training.reserve(worker, self.in_episode(training, worker)):
                allowed[worker] = training.reserved_steps[worker]

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        first = training.index * self.workers_per_training
        self._pending[training.index] = WorkerGradient(
            result.gradients[training.index],
            result.window_stats[training.index],
            participants.tolist(),
            result.steps[first + participants].tolist(),
            episodes_of_workers(result.ended, first, self.workers_per_training),
        )

    def next_update(self, training: SeedTraining, until: int) -> bool:
        pushed = self._pending.pop(training.index, None)
        if pushed is None:
            return False
        training.push(pushed, lag=0, sequential_updates=self._sequential_updates)
        return True

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        return {}

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        pass


class SynchronousBurst(NamedTuple):
    """A training in lockstep whose workers push together.

    Attributes:
        training: its weights and counters.
        worker_weights: ``[1, P]`` that nobody reads.
        in_episode: ``[N]`` who is within one, as it changes.
    """

    training: SeedTraining
    worker_weights: Tensor
    in_episode: NDArray[np.bool_]

    def max_burst_rounds(self, until: int) -> int:
        replica, n = self.training, len(self.in_episode)
        # Room for more than is reserved here, which may come to nothing, and then for whoever reserves next.
        if not replica.can_reserve(4 * n):
            return 0
        replica.reserve_all(np.arange(n), self.in_episode)
        return replica.max_burst_rounds(until)

    def push_orders(self, rounds: int) -> NDArray[np.int64] | None:
        return np.zeros((rounds, 1), np.int64)

    def settle(self, order: NDArray[np.int64], window_stats: NDArray[np.float32]) -> None:
        if len(order):
            self.training.settle_rounds(window_stats, np.zeros(order.shape, np.int64))
        self.training.reserved_steps[:] = self.training.tickets[:] = 0  # as after any push
