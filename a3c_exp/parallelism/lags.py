"""A policy lag that is set, not found: how many updates old the weights are from which each push is computed."""

from collections.abc import Sequence

from a3c_exp.core.errors import ConfigError
from a3c_exp.seeding import Purpose, stream

_BLOCK = 256
_MOST = 10_000


class Lags:
    """The lag of every update, a function of the seed and the update's number.

    Args:
        lag: one for all, two to draw evenly between (both included), or ``None``.

    Raises:
        ConfigError: none of these.
    """

    def __init__(self, lag: int | Sequence[int] | None) -> None:
        bounds = [] if lag is None else [lag, lag] if isinstance(lag, int) else list(lag)
        if lag is not None and not (len(bounds) == 2 and 0 <= bounds[0] <= bounds[1] <= _MOST):
            raise ConfigError(
                f"parallelism.lag is {lag}, but it is null, a number of updates from 0 to {_MOST}, or two: the smallest and "
                "the largest. Try parallelism.lag=11 or 'parallelism.lag=[0,22]'"
            )
        self._bounds = bounds
        self._block: tuple[int, int, list[int]] = (-1, -1, [])

    @property
    def are_set(self) -> bool:
        return bool(self._bounds)

    @property
    def most(self) -> int:
        """The largest."""
        return self._bounds[1]

    def of(self, seed: int, update: int) -> int:
        """The lag of one update."""
        low, high = self._bounds
        if low == high:
            return low
        block, place = divmod(update, _BLOCK)
        if self._block[:2] != (seed, block):
            drawn = stream(seed, Purpose.lag, 0, block).integers(low, high + 1, _BLOCK)
            self._block = seed, block, drawn.tolist()
        return self._block[2][place]
