"""What one training in virtual time has under way."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.deterministic.fixed_lag import PastWeights
from a3c_exp.parallelism.deterministic.worker_schedule import Turns
from a3c_exp.parallelism.single_process.pending_gradients import Windows
from a3c_exp.parallelism.single_process.seed_training import Replica


class Lane:
    """Beside its weights and counters.

    Args:
        turns: whose window ends next.
        workers: N.

    Attributes:
        windows: those that are computed and wait for their turn.
        pulled_at: ``[N]`` the update that each worker's copy of the weights stands at.
        past: the newest weights and those before them, where lags are set.
    """

    def __init__(self, turns: Turns, workers: int) -> None:
        self.turns = turns
        self.windows = Windows(workers)
        self.pulled_at = np.zeros(workers, np.int64)
        self.past: PastWeights | None = None


class StaleTraining(NamedTuple):
    """A training in lockstep whose workers push one after another, each to pull at once.

    Attributes:
        replica: its weights and counters.
        own: ``[N, P]`` its workers' copies of the weights.
        lane: what it has under way.
    """

    replica: Replica
    own: Tensor
    lane: Lane

    def whole_rounds(self, until: int) -> int:
        return 0 if self.lane.windows.waiting.any() else self.replica.whole_rounds(until)

    def orders(self, rounds: int) -> NDArray[np.int64] | None:
        return self.lane.turns.rounds(rounds)

    def settle(self, order: NDArray[np.int64], figures: NDArray[np.float32]) -> None:
        if not len(order):
            return
        replica, pulled_at = self.replica, self.lane.pulled_at
        numbers = (replica.updates + np.arange(order.size)).reshape(order.shape)
        # Whoever pushed pulls at once: the update that follows its own.
        since = np.empty_like(order)
        rounds = np.arange(len(order))[:, np.newaxis]
        by_worker = np.empty_like(order)
        by_worker[rounds, order] = numbers + 1
        since[0] = pulled_at[order[0]]
        since[1:] = by_worker[rounds[:-1], order[1:]]
        replica.settle_rounds(figures[rounds, order], numbers - since)
        pulled_at[:] = by_worker[-1]
        self.lane.turns.skip(order.size)
