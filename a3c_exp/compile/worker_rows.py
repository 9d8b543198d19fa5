"""Which workers share a set of weights."""

from torch import Tensor


class WorkerGrouping:
    """K workers and R rows of weights, each of which serves K/R = G workers that follow each other.

    Args:
        workers, rows: K and R.
        grouped: keep a group of one as a dimension of its own; ``None``: only if groups are larger.
    """

    def __init__(self, workers: int, rows: int, grouped: bool | None = None) -> None:
        self._rows, self._group_size = rows, workers // rows
        assert self._rows * self._group_size == workers, f"{workers} workers cannot share {rows} sets of weights evenly"
        self._grouped = self._group_size > 1 if grouped is None else grouped

    def by_row(self, tensor: Tensor) -> Tensor:
        """``[K, ...]`` as ``[R, G, ...]``, or unchanged if each worker has its own row; a view."""
        return tensor.reshape(self._rows, self._group_size, *tensor.shape[1:]) if self._grouped else tensor

    def by_worker(self, tensor: Tensor) -> Tensor:
        """The reverse."""
        return tensor.flatten(0, 1) if self._grouped else tensor
