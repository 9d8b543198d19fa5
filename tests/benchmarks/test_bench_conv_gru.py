"""The arithmetic limit is that of the network that is measured."""

import torch
from gymnasium.spaces import Discrete
from torch.utils.flop_counter import FlopCounterMode

from a3c_exp.models.conv_gru import ConvGRU
from benchmarks.suites.conv_gru import OBSERVATION_SPACE, flops_per_step

TAPS = 2 * 48 * 48 * 32 * 4 * 4
"""What the first norm's scale and shift cost in place of a whole picture's gradient: one kernel over a picture of ones."""


def test_the_operations_are_those_that_torch_counts() -> None:
    model = ConvGRU(OBSERVATION_SPACE, Discrete(4))
    given = torch.rand(1, *OBSERVATION_SPACE.shape), torch.zeros(1), torch.zeros(256)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model.unroll(*given)
    assert forward.get_total_flops() == flops_per_step(learning=False)
    with FlopCounterMode(display=False) as both:
        output = model.unroll(*given)
        torch.autograd.grad(output.parameters.sum() + output.value.sum(), list(model.parameters()))
    assert both.get_total_flops() == flops_per_step(learning=True) + TAPS
