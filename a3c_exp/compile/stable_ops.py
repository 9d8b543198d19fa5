"""Elementwise functions that give the same bits wherever an element lies.

torch computes sigmoid, softplus, elu and silu eight or sixteen elements at a time, and the remainder at a tensor's end with
other code that rounds differently. Which elements those are depends on how many workers are stacked, so that a seed would not
give the same bits alone and among others. exp, expm1, log1p and tanh have no such remainder.
"""

import torch
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    """As ``(1 + tanh(x / 2)) / 2``."""
    return 0.5 * torch.tanh(0.5 * x) + 0.5


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``; x itself above 20, as in torch."""
    return torch.where(x > 20.0, x, torch.log1p(torch.exp(x.clamp(max=20.0))))


def elu(x: Tensor) -> Tensor:
    return torch.where(x > 0.0, x, torch.expm1(x.clamp(max=0.0)))


def silu(x: Tensor) -> Tensor:
    return x * sigmoid(x)
