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

from a3c_exp.parallelism.compiled.sequential_updates import Call, PushSeries
from a3c_exp.parallelism.single_process.seed_training import Replica
from a3c_exp.parallelism.worker_group import Round, StackedWorkers

_MOST = 32
"""Rounds that are prepared at once."""
_PATIENCE = 8
"""Rounds done in the usual way after a stretch that was cut short by its first."""


class Training(Protocol):
    """One of those that keep step.

    Attributes:
        replica: its weights and counters.
        own: ``[c, P]`` what those who push pull into; c is how many pushes a round has.
    """

    @property
    def replica(self) -> Replica: ...
    @property
    def own(self) -> Tensor: ...

    def whole_rounds(self, until: int) -> int:
        """How many rounds can follow in which nothing is to be decided, before environment steps come to ``until``."""

    def orders(self, rounds: int) -> NDArray[np.int64] | None:
        """``[rounds, c]`` who pushes in turn; ``None`` if a round is under way."""

    def settle(self, order: NDArray[np.int64], figures: NDArray[np.float32]) -> None:
        """Enter rounds that were pushed in the books: ``order [rounds, c]``, ``figures [rounds, c, len(Stat)]`` by row of
        gradients, not in turn. There may be none."""


class Lockstep:
    """Does as many rounds at once as need no decision.

    Args:
        workers: of all trainings, those of each next to each other.
        trainings: in the same order.
        series: makes the pushes of a training's round.
    """

    def __init__(self, workers: StackedWorkers, trainings: Sequence[Training], series: PushSeries) -> None:
        self._workers, self._trainings, self._series = workers, trainings, series
        self._each = len(trainings[0].own)
        self._length, self._pause = 2, 0
        self._left: Round | None = None

    def run(self, until: Sequence[int], deadline: float) -> bool:
        """Rounds with all their pushes; false if there is none to be done in this way now.

        Args:
            until: environment steps that each training must stay below.
            deadline: on ``time.monotonic()``.
        """
        if self._pause:
            self._pause -= 1
            return False
        orders = self._orders(until)
        if orders is None:
            return False
        figures = self._rounds(orders, deadline)
        for one, (training, order) in enumerate(zip(self._trainings, orders, strict=True)):
            training.settle(order[: len(figures)], figures[:, one * self._each : (one + 1) * self._each])
        # What cuts stretches short tends to come again as soon.
        self._length = min(_MOST, max(2, 2 * len(figures)))
        self._pause = 0 if len(figures) else _PATIENCE
        return True

    def left_over(self) -> Round | None:
        """The round that came last, if its pushes were not made: an episode ended in it, or something was not finite."""
        left, self._left = self._left, None
        return left

    def _orders(self, until: Sequence[int]) -> list[NDArray[np.int64]] | None:
        """``[rounds, c]`` for each training, who pushes in turn."""
        most = min(self._length, *(one.whole_rounds(until[one.replica.index]) for one in self._trainings))
        if most < 2:
            return None
        orders = [one.orders(most) for one in self._trainings]
        count = 0 if any(order is None for order in orders) else self._workers.open_stretch(most)
        return [order[:count] for order in orders if order is not None] if count else None

    def _rounds(self, orders: Sequence[NDArray[np.int64]], deadline: float) -> NDArray[np.float32]:
        """Figures ``[rounds, R, len(Stat)]`` of the rounds that were pushed."""
        n = self._each
        calls = [one.replica.calls_ahead(self._series, order) for one, order in zip(self._trainings, orders, strict=True)]
        pushed: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for told in zip(*calls, strict=True):
                gradients, figures, someone_ended = self._workers.stretch_round()
                if someone_ended or not np.isfinite(figures).all():
                    self._left = self._workers.close_stretch(gradients, figures)
                    break
                self._push(told, torch.split(gradients, n) if len(self._trainings) > 1 else (gradients,))
                pushed.append(figures)
                if time.monotonic() >= deadline:
                    break
        if self._left is None:
            self._workers.close_stretch(gradients, figures)
        return np.stack(pushed) if pushed else np.zeros((0, *figures.shape), np.float32)

    def _push(self, told: Sequence[Sequence[Call]], gradients: Sequence[Tensor]) -> None:
        for one, calls, block in zip(self._trainings, told, gradients, strict=True):
            self._series.push(one.replica.weights, one.replica.optimizer_state, block, one.own, calls)
