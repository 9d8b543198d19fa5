"""Activations are torch's in value and slope, and the same bits wherever an element lies in a tensor."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.compile import stable_ops as pointwise
from a3c_exp.models.dense import ACTIVATIONS

PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "sigmoid": (pointwise.sigmoid, torch.sigmoid),
    "softplus": (pointwise.softplus, functional.softplus),
    "elu": (pointwise.elu, functional.elu),
    "silu": (pointwise.silu, functional.silu),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_slopes_are_torchs(name: str) -> None:
    ours, theirs = PAIRS[name]
    x = torch.cat([torch.linspace(-110, 110, 881), torch.linspace(-2, 2, 401), torch.tensor([0.0, 20.0, 1e4, -1e4])])
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(ours(mine), theirs(other), rtol=1e-6, atol=2e-6)
    ours(mine).sum().backward()
    theirs(other).sum().backward()
    torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", [*PAIRS, *ACTIVATIONS])
def test_a_function_gives_the_same_bits_wherever_an_element_lies(name: str) -> None:
    function = PAIRS[name][0] if name in PAIRS else ACTIVATIONS[name]

    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        value = function(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    many = 3.0 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    value, slope = value_and_slope(many)
    for count in (*range(1, 40), 100, 333):
        for begin in (0, 1, 7, 700):
            part = slice(begin, begin + count)
            alone = value_and_slope(many[part])
            assert torch.equal(alone[0], value[part]) and torch.equal(alone[1], slope[part]), (begin, count)
