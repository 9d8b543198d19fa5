"""Rounds in which nothing is to be decided: computed and pushed one after another, and the books of them all kept afterwards.

Most rounds are alike: everybody lives a full window, nobody's episode ends, and no bound, evaluation or checkpoint falls due.
What happens to the books in such a round is known beforehand, and to keep them would take longer than the round. They come out
as if it had been done, bit for bit.
"""

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup

_MAX_BURST = 32
"""Rounds that are prepared at once."""
_COOLDOWN_ROUNDS = 8
"""Rounds done in the usual way after a stretch that was cut short by its first."""


class BurstTraining(Protocol):
    """One of those that keep step.

    Attributes:
        training: its weights and counters.
        worker_weights: ``[c, P]`` what those who push pull into; c is how many pushes a round has.
    """

    @property
    def training(self) -> SeedTraining: ...
    @property
    def worker_weights(self) -> Tensor: ...

    def max_burst_rounds(self, until: int) -> int:
        """How many rounds can follow in which nothing is to be decided, before environment steps come to ``until``."""

    def push_orders(self, rounds: int) -> NDArray[np.int64] | None:
        """``[rounds, c]`` who pushes in turn; ``None`` if a round is under way."""

    def settle(self, order: NDArray[np.int64], window_stats: NDArray[np.float32]) -> None:
        """Enter rounds that were pushed in the books: ``order [rounds, c]``, ``window_stats [rounds, c, len(Stat)]`` by row of
        gradients, not in turn. There may be none."""


class BurstRunner:
    """Does as many rounds at once as need no decision.

    Args:
        worker_group: of all trainings, those of each next to each other.
        trainings: in the same order.
        sequential_updates: makes the pushes of a training's round.
    """

    def __init__(
        self, worker_group: WorkerGroup, trainings: Sequence[BurstTraining], sequential_updates: SequentialUpdates
    ) -> None:
        self._worker_group, self._trainings, self._sequential_updates = worker_group, trainings, sequential_updates
        self._pushes_per_round = len(trainings[0].worker_weights)
        self._burst_length, self._cooldown = 2, 0
        self._unfinished_round: RoundResult | None = None

    def run(self, until: Sequence[int], deadline: float) -> bool:
        """Rounds with all their pushes; false if there is none to be done in this way now.

        Args:
            until: environment steps that each training must stay below.
            deadline: on ``time.monotonic()``.
        """
        if self._cooldown:
            self._cooldown -= 1
            return False
        orders = self._push_orders(until)
        if orders is None:
            return False
        figures = self._run_rounds(orders, deadline)
        for one, (training, order) in enumerate(zip(self._trainings, orders, strict=True)):
            training.settle(
                order[: len(figures)], figures[:, one * self._pushes_per_round : (one + 1) * self._pushes_per_round]
            )
        # What cuts stretches short tends to come again as soon.
        self._burst_length = min(_MAX_BURST, max(2, 2 * len(figures)))
        self._cooldown = 0 if len(figures) else _COOLDOWN_ROUNDS
        return True

    def unfinished_round(self) -> RoundResult | None:
        """The round that came last, if its pushes were not made: an episode ended in it, or something was not finite."""
        left, self._unfinished_round = self._unfinished_round, None
        return left

    def _push_orders(self, until: Sequence[int]) -> list[NDArray[np.int64]] | None:
        """``[rounds, c]`` for each training, who pushes in turn."""
        most = min(self._burst_length, *(one.max_burst_rounds(until[one.training.index]) for one in self._trainings))
        if most < 2:
            return None
        orders = [one.push_orders(most) for one in self._trainings]
        count = 0 if any(order is None for order in orders) else self._worker_group.begin_burst(most)
        return [order[:count] for order in orders if order is not None] if count else None

    def _run_rounds(self, orders: Sequence[NDArray[np.int64]], deadline: float) -> NDArray[np.float32]:
        """Figures ``[rounds, R, len(Stat)]`` of the rounds that were pushed."""
        n = self._pushes_per_round
        calls = [
            one.training.prepare_burst(self._sequential_updates, order)
            for one, order in zip(self._trainings, orders, strict=True)
        ]
        pushed: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for told in zip(*calls, strict=True):
                gradients, figures, someone_ended = self._worker_group.burst_round()
                if someone_ended or not np.isfinite(figures).all():
                    self._unfinished_round = self._worker_group.end_burst(gradients, figures)
                    break
                self._push(told, torch.split(gradients, n) if len(self._trainings) > 1 else (gradients,))
                pushed.append(figures)
                if time.monotonic() >= deadline:
                    break
        if self._unfinished_round is None:
            self._worker_group.end_burst(gradients, figures)
        return np.stack(pushed) if pushed else np.zeros((0, *figures.shape), np.float32)

    def _push(self, batches: Sequence[Sequence[UpdateBatch]], gradients: Sequence[Tensor]) -> None:
        for one, calls, block in zip(self._trainings, batches, gradients, strict=True):
            self._sequential_updates.push(one.training.weights, one.training.optimizer_state, block, one.worker_weights, calls)
