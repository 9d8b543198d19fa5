"""Running statistics of processes that write shared weights without a lock: each process adds to its own, all read all."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.models.normalization import Moments
from a3c_exp.parallelism.multiprocess.shared_memory import share

_MAX_PENDING = 256  # windows of a process that are kept before they are merged, at most


@dataclass(frozen=True)
class ProcessStatistics:
    """Merging is read, compute, write: two processes that merged into one place at the same moment would lose a window. So each
    writes moments of its own, and what stands among the shared weights is merged from all of them.

    Merging costs as much as a compiled window, for one window or for many. So a process keeps the moments of its windows until
    there are as many calls of ``add`` as it has merged before, or no room. A reader of everything takes those that are pending
    too. One store counts windows or switches to the other copy of the moments, so a process that is killed loses none.
    """

    merged: Tensor  # [processes + 1, 2, M] packed, in shared memory; the last row is what the run began with
    pending: Tensor  # [processes + 1, _MAX_PENDING, M] packed
    progress: Tensor  # [processes + 1] int64: merges so far, whose lowest bit is the copy in use, and how many are pending

    @classmethod
    def create(cls, processes: int, initial: Tensor) -> "ProcessStatistics":
        """Shared memory for so many processes, beginning with the packed moments ``initial [M]``."""
        merged, pending = (torch.zeros(processes + 1, rows, len(initial)) for rows in (2, _MAX_PENDING))
        merged[-1] = initial
        progress = torch.zeros(processes + 1, dtype=torch.int64)
        for memory in (merged, pending, progress):
            share(memory)
        return cls(merged, pending, progress)

    @property
    def size(self) -> int:
        """M, how many numbers packed moments are."""
        return self.merged.shape[-1]

    def add(self, process: int, windows: NDArray[np.float32]) -> bool:
        """Add the packed moments ``[count, M]`` of windows to this process's own; whether it was time to merge them."""
        progress, count = self.progress.numpy(), len(windows)  # numpy copies a few numbers in a tenth of torch's time
        merges, pending = divmod(int(progress[process]), _MAX_PENDING + 1)
        if pending + count <= min(merges * count, _MAX_PENDING):
            self.pending.numpy()[process, pending : pending + count] = windows
            progress[process] += count
            return False
        own = self.merged[process]
        rows = torch.cat([own[merges & 1].unsqueeze(0), self.pending[process, :pending], torch.from_numpy(windows)])
        own[1 - (merges & 1)] = Moments.unpack(rows).together().pack()
        progress[process] = (merges + 1) * (_MAX_PENDING + 1)
        return True

    def total(self, with_pending: bool = True) -> Tensor:
        """``[M]`` the packed moments of all processes together; without those that are pending it costs less."""
        if with_pending:
            rows = torch.cat([self._rows(process) for process in range(len(self.progress))])
        else:
            copies = self.progress // (_MAX_PENDING + 1) & 1
            rows = self.merged[torch.arange(len(copies)), copies]
        return Moments.unpack(rows).together().pack()

    def _rows(self, process: int) -> Tensor:
        while True:
            merges, count = divmod(int(self.progress[process]), _MAX_PENDING + 1)
            rows = torch.cat([self.merged[process, merges & 1].unsqueeze(0), self.pending[process, :count]])
            if int(self.progress[process]) // (_MAX_PENDING + 1) == merges:  # else others may stand there by now
                return rows
