"""Which workers share a set of weights."""

from torch import Tensor


class WorkerGrouping:
    """K workers and R rows of weights, each of which serves K/R workers that follow each other.

    Args:
        workers, rows: K and R.
    """

    def __init__(self, workers: int, rows: int) -> None:
        self._rows, self._group_size = rows, workers // rows
        assert self._rows * self._group_size == workers, f"{workers} workers cannot share {rows} sets of weights evenly"

    def by_row(self, tensor: Tensor) -> Tensor:
        """``[K, ...]`` as ``[R, G, ...]`` where a row serves G workers, and as it is where each worker has its own; a view."""
        return tensor if self._group_size == 1 else tensor.reshape(self._rows, self._group_size, *tensor.shape[1:])

    def by_worker(self, tensor: Tensor) -> Tensor:
        """The reverse."""
        return tensor if self._group_size == 1 else tensor.flatten(0, 1)
