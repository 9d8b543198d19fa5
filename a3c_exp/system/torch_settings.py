"""How a process that trains computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SUBNORMAL = 1e-39  # for a full float32


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread, since the cores belong to the workers; and numbers too small for a full float32 count as 0, where the
    processor can.

    The first moment that Adam keeps of a weight behind a unit that died shrinks by the same factor at every update. Below
    1.2e-38 it would stay for ever among numbers with which processors compute tens of times as slowly, and that make no
    difference to any weight. Both settings are as they were afterwards.
    """
    threads, left_out = torch.get_num_threads(), not torch.tensor(_SUBNORMAL).mul(1.0).item()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(left_out)
        torch.set_num_threads(threads)
