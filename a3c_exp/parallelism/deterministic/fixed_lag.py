"""A policy lag that is set: how many updates old the weights are from which each applied gradient is computed."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.random_streams import StreamPurpose, random_stream
from a3c_exp.system.errors import ConfigError

_BLOCK_SIZE = 256
_MAX_LAG = 10_000


class LagSchedule:
    """The ``lag`` of every update, a function of the seed and the update's number: one for all, two to draw evenly between
    (both included), or ``None``. ``max_lag`` is the largest.

    Raises:
        ConfigError: none of these.
    """

    def __init__(self, lag: int | Sequence[int] | None) -> None:
        bounds = [] if lag is None else [lag, lag] if isinstance(lag, int) else list(lag)
        if lag is not None and not (len(bounds) == 2 and 0 <= bounds[0] <= bounds[1] <= _MAX_LAG):
            raise ConfigError(
                f"parallelism.lag is {lag}, but it is null, a number of updates from 0 to {_MAX_LAG}, or two: the smallest and "
                "the largest. Try parallelism.lag=11 or 'parallelism.lag=[0,22]'"
            )
        self.max_lag = bounds[1] if bounds else None
        self._bounds = bounds
        self._block: tuple[int, int, list[int]] = (-1, -1, [])

    def lag_at(self, seed: int, update: int) -> int:
        """The lag of one update."""
        low, high = self._bounds
        if low == high:
            return low
        block, place = divmod(update, _BLOCK_SIZE)
        if self._block[:2] != (seed, block):
            lags = random_stream(seed, StreamPurpose.lag, 0, block).integers(low, high + 1, _BLOCK_SIZE)
            self._block = seed, block, lags.tolist()
        return self._block[2][place]

    def lags_from(self, seed: int, update: int, count: int) -> NDArray[np.int64]:
        """``[count]`` the lags of this update and the ones after it."""
        low, high = self._bounds
        return np.full(count, low) if low == high else np.array([self.lag_at(seed, update + ahead) for ahead in range(count)])


class WeightHistory:
    """The weights as of the newest versions (numbers of updates) up to ``newest``, as far back as ``max_lag`` goes, and in
    ``fractions`` how much of the budget was used up at each."""

    def __init__(self, max_lag: int, versions: Sequence[Tensor], newest: int, fractions: Sequence[float]) -> None:
        self._capacity, self.newest = max_lag + 1, newest
        newest_rows = torch.stack(list(versions)[-self._capacity :])
        self._count = len(newest_rows)
        self._rows = torch.zeros(3 * self._capacity + 64, newest_rows.shape[1], device=newest_rows.device)
        self._rows[: self._count] = newest_rows
        self._fractions = deque(fractions, maxlen=self._capacity)  # the newest last

    @property
    def oldest(self) -> int:
        """The oldest version that is still there."""
        return self.newest + 1 - min(self._count, self._capacity)

    def append(self, versions: Tensor, fractions: NDArray[np.float64]) -> None:
        """Newer ones, ``[c, P]`` and ``[c]`` in order."""
        self._fractions.extend(fractions.tolist())
        for part in torch.split(versions, len(self._rows) - self._capacity):
            if self._count + len(part) > len(self._rows):
                last = self._rows[self._count - self._capacity : self._count].clone()
                self._rows[: self._capacity], self._count = last, self._capacity
            self._rows[self._count : self._count + len(part)] = part
            self._count += len(part)
        self.newest += len(versions)

    def at(self, versions: NDArray[np.int64]) -> Tensor:
        """``[c, P]`` of these numbers."""
        return self._rows.index_select(0, torch.from_numpy(self._count - 1 - (self.newest - versions)))

    def fractions_at(self, versions: NDArray[np.int64]) -> NDArray[np.float64]:
        """``[c]`` at these numbers."""
        return np.array([self._fractions[version - self.newest - 1] for version in versions.tolist()])

    def fractions(self) -> list[float]:
        """At all ``versions``."""
        return list(self._fractions)

    def versions(self) -> list[Tensor]:
        """All that is still there, the newest last."""
        first = self._count - min(self._count, self._capacity)
        return [row.cpu().clone() for row in self._rows[first : self._count]]
