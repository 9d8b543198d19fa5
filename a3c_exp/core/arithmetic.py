"""How a process that trains computes."""

import torch


def compute_on_one_core() -> None:
    """One thread, since the cores belong to the workers; and numbers too small for a full float32 count as 0.

    The first moment that Adam keeps of a weight that gets no gradient any more, behind a unit that died, shrinks by the same
    factor at every update. Below 1.2e-38 it would stay for ever among numbers with which processors compute tens of times as
    slowly, and that make no difference to any weight. For this thread and its arrays of every kind; a processor that cannot
    leave them out goes on with them.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
