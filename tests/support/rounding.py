"""How far apart two ways to the same numbers may end that differ in nothing but the order in which they add up."""

import torch
from torch import Tensor


def assert_equal_to_rounding(one: Tensor, other: Tensor, terms: int) -> None:
    """Equal but for rounding in single precision.

    Which kernel a product or a convolution takes, and with it the order of its sums, is the library's choice: by the number of
    rows, the processor, even the place in memory. A sum of so many products is off by at most ``terms`` times half an epsilon
    of what it adds up, in any order, and two orders lie twice as far apart; sums that follow each other add their own.

    Args:
        one, other: the numbers, measured against the largest of them.
        terms: of the longest sum, or of all that follow each other, one from each.
    """
    within = terms * torch.finfo(torch.float32).eps * other.detach().abs().max().item()
    torch.testing.assert_close(one, other, rtol=0.0, atol=within)
