"""The seeded order in which asynchronous workers end their windows in virtual time."""

import heapq
import math
from collections import deque
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.random_streams import StreamPurpose, random_stream

Speeds = Literal["equal", "lognormal", "gamma", "uniform"]
Order = Literal["shuffled", "fixed"]

_BLOCK_SIZE = 256  # durations of a worker drawn at once
_ROUNDS_PER_BLOCK = 64  # rounds whose order is drawn at once: making a generator costs more than drawing from it


class WorkerSchedule(Protocol):
    """An endless sequence of workers, a function of the seed alone: it does not depend on what happens in a window."""

    def peek(self, ahead: int = 0) -> int:
        """The worker whose window ends next, or ``ahead`` windows after that."""

    def peek_distinct(self, count: int) -> list[int]:
        """The workers whose windows end next, up to the first that would come twice: at least one, at most ``count``."""

    def advance(self, count: int = 1) -> None:
        """So many windows end: time moves on."""

    def peek_rounds(self, count: int) -> NDArray[np.int64] | None:
        """``[count, N]`` the next rounds of one window of every worker; ``None`` if no round begins now."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Where the sequence stands, in plain values, for a checkpoint."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class RoundRobinSchedule(WorkerSchedule):
    """All workers are equally fast: each ends one window a round. In a fixed order, drawn once, the policy lag is N - 1 at
    every push; shuffled every round it varies from 0 to 2N - 2 around that mean."""

    def __init__(self, seed: int, workers: int, order: Order) -> None:
        self._seed, self._workers, self._order = seed, workers, order
        self._position = 0
        self._blocks: dict[int, NDArray[np.int64]] = {}

    def peek(self, ahead: int = 0) -> int:
        round_, place = divmod(self._position + ahead, self._workers)
        return int(self._round_order(round_)[place])

    def _round_order(self, number: int) -> NDArray[np.int64]:
        block, row = divmod(number if self._order == "shuffled" else 0, _ROUNDS_PER_BLOCK)
        if block not in self._blocks:
            if len(self._blocks) > 3:
                self._blocks.clear()
            each = np.tile(np.arange(self._workers), (_ROUNDS_PER_BLOCK, 1))
            self._blocks[block] = random_stream(self._seed, StreamPurpose.schedule, 0, block).permuted(each, axis=1)
        order: NDArray[np.int64] = self._blocks[block][row]
        return order

    def peek_distinct(self, count: int) -> list[int]:
        round_, place = divmod(self._position, self._workers)
        workers: list[int] = self._round_order(round_)[place : place + count].tolist()
        return workers

    def peek_rounds(self, count: int) -> NDArray[np.int64] | None:
        first, place = divmod(self._position, self._workers)
        return None if place else np.stack([self._round_order(first + i) for i in range(count)])

    def advance(self, count: int = 1) -> None:
        self._position += count

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._position = state_dict["position"]


class RandomDurationSchedule(WorkerSchedule):
    """A window lasts a random time, and the one that ends first comes next.

    The mean duration of each worker's windows is drawn once, each window's own duration around that mean; both from the same
    kind of distribution, with mean 1 and the given coefficient of variation (standard deviation over mean).
    """

    def __init__(self, seed: int, workers: int, speeds: Speeds, between_workers: float, between_windows: float) -> None:
        assert speeds != "equal"
        self._seed, self._distribution, self._variation = seed, speeds, between_windows
        first = random_stream(seed, StreamPurpose.schedule, workers)  # none of the workers' own streams
        self.mean_durations = _draw(first, speeds, between_workers, workers)
        self._num_drawn = [0] * workers
        self._durations: list[NDArray[np.float64]] = [np.zeros(0)] * workers
        self._end_times = [(self._duration(worker), worker) for worker in range(workers)]
        heapq.heapify(self._end_times)
        self._queue: deque[int] = deque()

    def _duration(self, worker: int) -> float:
        block, place = divmod(self._num_drawn[worker], _BLOCK_SIZE)
        if place == 0:
            self._draw_durations(worker, block)
        self._num_drawn[worker] += 1
        return float(self.mean_durations[worker] * self._durations[worker][place])

    def _draw_durations(self, worker: int, block: int) -> None:
        generator = random_stream(self._seed, StreamPurpose.schedule, worker, 1 + block)
        self._durations[worker] = _draw(generator, self._distribution, self._variation, _BLOCK_SIZE)

    def peek(self, ahead: int = 0) -> int:
        while len(self._queue) <= ahead:
            now, worker = self._end_times[0]
            heapq.heapreplace(self._end_times, (now + self._duration(worker), worker))
            self._queue.append(worker)
        return self._queue[ahead]

    def peek_distinct(self, count: int) -> list[int]:
        workers: list[int] = []
        while len(workers) < count and self.peek(len(workers)) not in workers:
            workers.append(self.peek(len(workers)))
        return workers

    def advance(self, count: int = 1) -> None:
        for _ in range(count):
            self.peek()
            self._queue.popleft()

    def state_dict(self) -> dict[str, Any]:
        ends = sorted(self._end_times, key=lambda end: end[1])
        return {"num_drawn": list(self._num_drawn), "end_times": [time for time, _ in ends], "queue": list(self._queue)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_drawn = list(state_dict["num_drawn"])
        self._end_times = [(time, worker) for worker, time in enumerate(state_dict["end_times"])]
        heapq.heapify(self._end_times)
        self._queue = deque(state_dict["queue"])
        for worker, drawn in enumerate(self._num_drawn):
            self._draw_durations(worker, (drawn - 1) // _BLOCK_SIZE)


def _draw(generator: np.random.Generator, distribution: Speeds, variation: float, count: int) -> NDArray[np.float64]:
    """``[count]`` positive numbers with mean 1 and this coefficient of variation."""
    if variation == 0:
        return np.ones(count)
    if distribution == "lognormal":
        sigma = math.sqrt(math.log1p(variation**2))
        return generator.lognormal(-0.5 * sigma**2, sigma, count)
    if distribution == "gamma":
        return generator.gamma(1.0 / variation**2, variation**2, count)
    reach = variation * math.sqrt(3.0)
    return generator.uniform(1.0 - reach, 1.0 + reach, count)
