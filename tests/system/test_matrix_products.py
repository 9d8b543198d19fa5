"""With MKL_CBWR=AUTO a matrix product rounds alike wherever its operands begin in memory.

On that rests that a seed among others is the seed alone, bit for bit. The tests set the variable (tests/conftest.py); a run
leaves it to its user, because other values round otherwise and so change every run's digests.
"""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.support.single_process import ROUNDS_ALIKE


def placed(tensor: Tensor, offset: int) -> Tensor:
    """A copy that begins so many numbers behind a multiple of 64 bytes."""
    room = torch.empty(tensor.numel() + 32)
    begin = -(room.data_ptr() // 4) % 16 + offset
    return room[begin : begin + tensor.numel()].view(tensor.shape).copy_(tensor)


@pytest.mark.skipif(not ROUNDS_ALIKE, reason="only MKL promises it")
@pytest.mark.parametrize("inputs", [3, 4, 5, 17, 64, 100])
def test_a_product_gives_the_same_bits_wherever_its_operands_begin(inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, outputs in itertools.product((1, 2, 5, 20), (1, 6, 64)):
        shapes = (rows, inputs), (outputs, inputs), (outputs,), (rows, outputs)
        given = [torch.randn(shape, generator=generator) for shape in shapes]

        def products(*offsets: int, given: list[Tensor] = given) -> list[Tensor]:
            x, weight, bias, slope = (placed(tensor, offset) for tensor, offset in zip(given, offsets, strict=True))
            together = torch.bmm(x.unsqueeze(0), weight.t().unsqueeze(0))
            return [functional.linear(x, weight, bias), slope @ weight, slope.t() @ x, together]

        aligned = products(0, 0, 0, 0)
        for offsets in ((1, 0, 0, 0), (0, 2, 0, 0), (0, 0, 3, 5), (5, 6, 7, 9), (4, 8, 4, 8)):
            for one, same in zip(products(*offsets), aligned, strict=True):
                assert torch.equal(one, same), (rows, outputs, offsets)
