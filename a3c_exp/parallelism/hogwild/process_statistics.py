"""Running statistics of processes that write shared weights without a lock: each process adds to its own, all read all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from a3c_exp.models.normalization import Moments
from a3c_exp.parallelism.multiprocess.shared_memory import share


@dataclass(frozen=True)
class ProcessStatistics:
    """Merging is read, compute, write: two processes that merged into one place at the same moment would lose a window. So each
    writes moments of its own, and what stands among the shared weights is merged from all of them. There are two copies of
    each, of which the one not in use is written: a process that is killed meanwhile leaves the other as it was."""

    moments: Tensor  # [processes + 1, 2, M] packed, in shared memory; the last row is what the run began with
    used: Tensor  # [processes + 1] int64: the copy in use

    @classmethod
    def create(cls, processes: int, initial: Tensor) -> "ProcessStatistics":
        """Shared memory for so many processes, beginning with the packed moments ``initial [M]``."""
        none = torch.zeros(processes + 1, 2, len(initial))
        none[-1] = initial
        used = torch.zeros(processes + 1, dtype=torch.int64)
        share(none)
        share(used)
        return cls(none, used)

    def add(self, process: int, windows: Tensor) -> None:
        """Merge the packed moments ``[count, M]`` of windows into this process's own."""
        used = int(self.used[process])
        rows = torch.cat([self.moments[process, used].unsqueeze(0), windows])
        self.moments[process, 1 - used] = Moments.unpack(rows).together().pack()
        self.used[process] = 1 - used

    def total(self) -> Tensor:
        """``[M]`` the packed moments of all processes together."""
        return Moments.unpack(self.moments[torch.arange(len(self.used)), self.used]).together().pack()
