"""The arithmetic limit is that of the measured network."""

import torch
from gymnasium.spaces import Discrete
from torch.utils.flop_counter import FlopCounterMode

from a3c_exp.models.conv_gru import ConvGRU
from benchmarks.suites.conv_gru import OBSERVATION_SPACE, flops_per_step

INPUT_NORM_FLOPS = 2 * 48 * 48 * 32 * 4 * 4
"""FLOPs of the gradient of the first norm's scale and shift, in place of the image's: one kernel over an image of ones."""


def test_the_flops_are_those_that_torch_counts() -> None:
    model = ConvGRU(OBSERVATION_SPACE, Discrete(4))
    inputs = torch.rand(1, *OBSERVATION_SPACE.shape), torch.zeros(1), torch.zeros(256)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model.unroll(*inputs)
    assert forward.get_total_flops() == flops_per_step(learning=False)
    with FlopCounterMode(display=False) as both:
        output = model.unroll(*inputs)
        torch.autograd.grad(output.parameters.sum() + output.value.sum(), list(model.parameters()))
    assert both.get_total_flops() == flops_per_step(learning=True) + INPUT_NORM_FLOPS
