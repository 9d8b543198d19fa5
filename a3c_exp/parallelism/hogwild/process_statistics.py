"""Running statistics of processes that write shared weights without a lock: each process adds to its own, all read all."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.models.normalization import Moments
from a3c_exp.parallelism.multiprocess.shared_memory import share

# Windows of a process that are kept before they are merged, at most: fewer where their moments are many numbers.
_MIN_ROOM, _MAX_ROOM, _ROOM_NUMBERS = 16, 1024, 2**19


@dataclass(frozen=True)
class ProcessStatistics:
    """Merging is read, compute, write: two processes that merged into one place at the same moment would lose a window. So each
    writes moments of its own, and what stands among the shared weights is merged from all of them.

    Merging costs as much as a compiled window, for one window or for many. So a process keeps the moments of its windows until
    there are as many calls of ``add`` as it has merged before, or no room. A reader of everything takes those that are pending
    too. One store counts windows or switches to the other copy of the moments, so a process that is killed loses none.
    """

    merged: Tensor  # [processes + 1, 2, M] packed, in shared memory; the last row is what the run began with
    pending: Tensor  # [processes + 1, room, M] packed
    progress: Tensor  # [processes + 1] int64: merges so far, whose lowest bit is the copy in use, and how many are pending

    @classmethod
    def create(cls, processes: int, initial: Tensor) -> "ProcessStatistics":
        """Shared memory for so many processes, beginning with the packed moments ``initial [M]``."""
        room = min(_MAX_ROOM, max(_MIN_ROOM, _ROOM_NUMBERS // len(initial)))
        merged, pending = (torch.zeros(processes + 1, rows, len(initial)) for rows in (2, room))
        merged[-1] = initial
        progress = torch.zeros(processes + 1, dtype=torch.int64)
        for memory in (merged, pending, progress):
            share(memory)
        return cls(merged, pending, progress)

    @property
    def size(self) -> int:
        """M, how many numbers packed moments are."""
        return self.merged.shape[-1]

    @property
    def room(self) -> int:
        """How many windows of a process can be pending."""
        return self.pending.shape[1]

    def total(self, with_pending: bool = True) -> Tensor:
        """``[M]`` the packed moments of all processes together; without those that are pending it costs less."""
        if with_pending:
            rows = torch.cat([self._rows(process) for process in range(len(self.progress))])
        else:
            copies = self.progress // (self.room + 1) & 1
            rows = self.merged[torch.arange(len(copies)), copies]
        return Moments.unpack(rows).together().pack()

    def _rows(self, process: int) -> Tensor:
        while True:
            merges, count = divmod(int(self.progress[process]), self.room + 1)
            rows = torch.cat([self.merged[process, merges & 1].unsqueeze(0), self.pending[process, :count]])
            if int(self.progress[process]) // (self.room + 1) == merges:  # else others may stand there by now
                return rows


class OwnStatistics:
    """What one ``process`` writes of the ``statistics``, of which it alone is the writer."""

    def __init__(self, statistics: ProcessStatistics, process: int) -> None:
        self._room, self._size = statistics.room, statistics.size
        self._merged, self._pending = statistics.merged[process], statistics.pending[process]
        # numpy copies a few numbers in a tenth of torch's time.
        self._pending_rows, self._progress = self._pending.numpy(), statistics.progress[process : process + 1].numpy()
        self._merges, self._count = divmod(int(self._progress[0]), self._room + 1)

    def add(self, gradients: Tensor) -> bool:
        """Add windows, whose packed moments stand in the last places of their ``gradients [count, P]``, to this process's own;
        whether it was time to merge them."""
        windows: NDArray[np.float32] = gradients.numpy()[:, -self._size :]
        count = self._count + len(windows)
        if count <= self._room and count <= self._merges * len(windows):
            self._pending_rows[self._count : count] = windows
            self._count = count
        else:
            self._merge(windows)
        self._progress[0] = self._merges * (self._room + 1) + self._count
        return not self._count

    def _merge(self, windows: NDArray[np.float32]) -> None:
        before, after = self._merged[self._merges & 1], self._merged[1 - (self._merges & 1)]
        rows = torch.cat([before.unsqueeze(0), self._pending[: self._count], torch.from_numpy(windows)])
        after.copy_(Moments.unpack(rows).together().pack())
        self._merges, self._count = self._merges + 1, 0
