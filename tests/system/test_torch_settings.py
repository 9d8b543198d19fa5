"""How a process that trains computes: on one thread, and past numbers that are slow to compute with."""

import pytest
import torch

from a3c_exp.optimizers.adam import Adam
from a3c_exp.system.torch_settings import single_threaded

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot leave such numbers out")
SMALLEST = torch.finfo(torch.float32).tiny


def idle_weight(updates: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight and its first moment after one gradient and as many updates without."""
    weights, state, adam = torch.ones(1), torch.zeros(2, 1), Adam(lr=1e-4, betas=(0.9, 0.999))
    for update in range(updates):
        adam.step(weights, torch.full((1,), 1e-3 if update == 0 else 0.0), state, update, adam.lr)
    return weights, state[0]


def test_the_moment_of_a_weight_that_learns_no_more_does_not_stay_a_slow_number() -> None:
    plain, moment = idle_weight(900)
    assert 0 < moment.item() < SMALLEST, "the reason for it all"
    with single_threaded():
        ours, moment = idle_weight(900)
    assert moment.item() == 0
    assert torch.equal(ours, plain), "and no weight is another for it"


def test_settings_of_the_calling_program_are_restored_after_training() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for error in (False, True):
            try:
                with single_threaded():
                    assert torch.get_num_threads() == 1
                    if error:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                assert error
            assert torch.get_num_threads() == 2
            assert torch.tensor(SMALLEST).mul(0.5).item() > 0
        with single_threaded():
            with single_threaded():
                pass
            assert torch.tensor(SMALLEST).mul(0.5).item() == 0, "and not too soon"
    finally:
        torch.set_num_threads(threads)
