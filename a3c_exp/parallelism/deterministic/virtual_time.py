"""What one training in virtual time has under way."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.deterministic.fixed_lag import WeightHistory
from a3c_exp.parallelism.deterministic.worker_schedule import WorkerSchedule
from a3c_exp.parallelism.single_process.pending_gradients import PendingGradients
from a3c_exp.parallelism.single_process.seed_training import SeedTraining


class VirtualTimeState:
    """Beside its weights and counters.

    Args:
        schedule: whose window ends next.
        workers: N.

    Attributes:
        pending_gradients: those that are computed and wait for their turn.
        pulled_at: ``[N]`` the update that each worker's copy of the weights stands at.
        history: the newest weights and those before them, where lags are set.
    """

    def __init__(self, schedule: WorkerSchedule, workers: int, num_stats: int) -> None:
        self.schedule = schedule
        self.pending_gradients = PendingGradients(workers, num_stats)
        self.pulled_at = np.zeros(workers, np.int64)
        self.history: WeightHistory | None = None


class AsynchronousBurst(NamedTuple):
    """A training in lockstep whose workers push one after another, each to pull at once.

    Attributes:
        training: its weights and counters.
        worker_weights: ``[N, P]`` its workers' copies of the weights.
        virtual_time: what it has under way.
    """

    training: SeedTraining
    worker_weights: Tensor
    virtual_time: VirtualTimeState

    def max_burst_rounds(self, until: int) -> int:
        return 0 if self.virtual_time.pending_gradients.is_pending.any() else self.training.max_burst_rounds(until)

    def push_orders(self, rounds: int) -> NDArray[np.int64] | None:
        return self.virtual_time.schedule.peek_rounds(rounds)

    def settle(self, order: NDArray[np.int64], window_stats: NDArray[np.float32]) -> None:
        if not len(order):
            return
        replica, pulled_at = self.training, self.virtual_time.pulled_at
        numbers = (replica.updates + np.arange(order.size)).reshape(order.shape)
        # Whoever pushed pulls at once: the update that follows its own.
        since = np.empty_like(order)
        rounds = np.arange(len(order))[:, np.newaxis]
        by_worker = np.empty_like(order)
        by_worker[rounds, order] = numbers + 1
        since[0] = pulled_at[order[0]]
        since[1:] = by_worker[rounds[:-1], order[1:]]
        replica.settle_rounds(window_stats[rounds, order], numbers - since)
        pulled_at[:] = by_worker[-1]
        self.virtual_time.schedule.advance(order.size)
