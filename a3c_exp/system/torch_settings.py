"""How a process that trains computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SUBNORMAL = 1e-39  # for a full float32


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread inside, since the cores belong to the workers; and numbers too small for a full float32 count as 0, where the
    processor can. Adam's first moment of a weight behind a dead unit shrinks at every update, and below 1.2e-38 it would stay
    among numbers with which processors compute tens of times as slowly, and that make no difference to any weight."""
    threads, left_out = torch.get_num_threads(), not torch.tensor(_SUBNORMAL).mul(1.0).item()
    use_one_thread()
    try:
        yield
    finally:
        torch.set_flush_denormal(left_out)
        torch.set_num_threads(threads)


def use_one_thread() -> None:
    """What ``single_threaded`` does, from now on and for what this thread computes."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
