"""How a process that trains computes: on one thread, and past numbers that are slow to compute with."""

from collections.abc import Iterator

import pytest
import torch

from a3c_exp.core.arithmetic import compute_on_one_core
from a3c_exp.optimizers.adam import Adam

SMALLEST = torch.finfo(torch.float32).tiny


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot leave them out")
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def idle_weight(updates: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight and its first moment after one gradient and as many updates without."""
    weights, state, adam = torch.ones(1), torch.zeros(2, 1), Adam(lr=1e-4, betas=(0.9, 0.999))
    for update in range(updates):
        adam.step(weights, torch.full((1,), 1e-3 if update == 0 else 0.0), state, update, adam.lr)
    return weights, state[0]


def test_the_moment_of_a_weight_that_learns_no_more_does_not_stay_a_slow_number() -> None:
    plain, moment = idle_weight(900)
    assert 0 < moment.item() < SMALLEST, "the reason for it all"
    compute_on_one_core()
    assert torch.get_num_threads() == 1
    ours, moment = idle_weight(900)
    assert moment.item() == 0
    assert torch.equal(ours, plain), "and no weight is another for it"
