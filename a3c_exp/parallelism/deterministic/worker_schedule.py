"""Whose turn it is in virtual time: the seeded order in which asynchronous workers end their windows."""

import heapq
import math
from collections import deque
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.random_streams import Purpose, stream

Speeds = Literal["equal", "lognormal", "gamma", "uniform"]
Order = Literal["shuffled", "fixed"]

_BLOCK = 256
"""Durations of a worker drawn at once."""
_ROUNDS = 64
"""Rounds whose order is drawn at once: making a generator costs more than drawing from it."""


class Turns(Protocol):
    """An endless sequence of workers, a function of the seed alone; it never hangs on what happens in a window."""

    def at(self, ahead: int = 0) -> int:
        """The worker whose window ends next, or ``ahead`` turns after that."""

    def take(self) -> int:
        """The worker whose window ends next; time moves on."""

    def coming(self, count: int) -> list[int]:
        """The workers of the next turns, up to the first that has another: at least one, at most ``count``."""

    def skip(self, count: int) -> None:
        """``take`` as often."""

    def rounds(self, count: int) -> NDArray[np.int64] | None:
        """``[count, N]`` the next turns, where every worker has one a round and a round begins now; ``None`` elsewhere."""

    def state(self) -> dict[str, Any]:
        """Where the sequence stands, in plain values, for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None: ...


class EqualTurns:
    """All workers are equally fast: each has one turn a round, in an order drawn anew for every round, or once for all.

    With a fixed order the policy lag is N - 1 at every push; shuffled it varies from 0 to 2N - 2 around that mean.
    """

    def __init__(self, seed: int, workers: int, order: Order) -> None:
        self._seed, self._workers, self._order = seed, workers, order
        self._taken = 0
        self._blocks: dict[int, NDArray[np.int64]] = {}

    def at(self, ahead: int = 0) -> int:
        round_, place = divmod(self._taken + ahead, self._workers)
        return int(self._round(round_)[place])

    def _round(self, number: int) -> NDArray[np.int64]:
        """``[N]`` the workers of a round in turn."""
        block, row = divmod(number if self._order == "shuffled" else 0, _ROUNDS)
        if block not in self._blocks:
            if len(self._blocks) > 3:
                self._blocks.clear()
            each = np.tile(np.arange(self._workers), (_ROUNDS, 1))
            self._blocks[block] = stream(self._seed, Purpose.schedule, 0, block).permuted(each, axis=1)
        order: NDArray[np.int64] = self._blocks[block][row]
        return order

    def take(self) -> int:
        worker = self.at()
        self._taken += 1
        return worker

    def coming(self, count: int) -> list[int]:
        round_, place = divmod(self._taken, self._workers)
        found: list[int] = self._round(round_)[place : place + count].tolist()
        return found

    def rounds(self, count: int) -> NDArray[np.int64] | None:
        first, place = divmod(self._taken, self._workers)
        return None if place else np.stack([self._round(first + i) for i in range(count)])

    def skip(self, count: int) -> None:
        self._taken += count

    def state(self) -> dict[str, Any]:
        return {"taken": self._taken}

    def restore(self, state: dict[str, Any]) -> None:
        self._taken = state["taken"]


class RandomTurns:
    """Fast and slow workers mixed: a window lasts a random time, and whose ends first has the next turn.

    The mean duration of each worker's windows is drawn once, each window's own duration around that mean; both from the same
    kind of distribution, with mean 1 and the given coefficient of variation (standard deviation over mean).
    """

    def __init__(self, seed: int, workers: int, speeds: Speeds, between_workers: float, between_windows: float) -> None:
        assert speeds != "equal"
        self._seed, self._kind, self._spread = seed, speeds, between_windows
        first = stream(seed, Purpose.schedule, workers)  # none of the workers' own streams
        self.mean_durations = _draw(first, speeds, between_workers, workers)
        self._drawn = [0] * workers
        self._durations: list[NDArray[np.float64]] = [np.zeros(0)] * workers
        self._ends = [(self._duration(worker), worker) for worker in range(workers)]
        heapq.heapify(self._ends)
        self._next: deque[int] = deque()

    def _duration(self, worker: int) -> float:
        block, place = divmod(self._drawn[worker], _BLOCK)
        if place == 0 or not len(self._durations[worker]):
            generator = stream(self._seed, Purpose.schedule, worker, 1 + block)
            self._durations[worker] = _draw(generator, self._kind, self._spread, _BLOCK)
        self._drawn[worker] += 1
        return float(self.mean_durations[worker] * self._durations[worker][place])

    def at(self, ahead: int = 0) -> int:
        while len(self._next) <= ahead:
            now, worker = self._ends[0]
            heapq.heapreplace(self._ends, (now + self._duration(worker), worker))
            self._next.append(worker)
        return self._next[ahead]

    def take(self) -> int:
        self.at()
        return self._next.popleft()

    def coming(self, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count and self.at(len(found)) not in found:
            found.append(self.at(len(found)))
        return found

    def rounds(self, count: int) -> NDArray[np.int64] | None:
        return None

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.take()

    def state(self) -> dict[str, Any]:
        ends = sorted(self._ends, key=lambda end: end[1])
        return {"drawn": list(self._drawn), "ends": [time for time, _ in ends], "next": list(self._next)}

    def restore(self, state: dict[str, Any]) -> None:
        self._drawn = list(state["drawn"])
        self._ends = [(time, worker) for worker, time in enumerate(state["ends"])]
        heapq.heapify(self._ends)
        self._next = deque(state["next"])
        for worker, drawn in enumerate(self._drawn):
            generator = stream(self._seed, Purpose.schedule, worker, 1 + (drawn - 1) // _BLOCK)
            self._durations[worker] = _draw(generator, self._kind, self._spread, _BLOCK)


def _draw(generator: np.random.Generator, kind: Speeds, variation: float, count: int) -> NDArray[np.float64]:
    """``[count]`` positive numbers with mean 1 and this coefficient of variation."""
    if variation == 0:
        return np.ones(count)
    if kind == "lognormal":
        sigma = math.sqrt(math.log1p(variation**2))
        return generator.lognormal(-0.5 * sigma**2, sigma, count)
    if kind == "gamma":
        return generator.gamma(1.0 / variation**2, variation**2, count)
    reach = variation * math.sqrt(3.0)
    return generator.uniform(1.0 - reach, 1.0 + reach, count)
