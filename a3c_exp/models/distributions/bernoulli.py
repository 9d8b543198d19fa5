"""Several independent binary choices."""

import math

import torch
from torch import Tensor

from a3c_exp.compile.stable_ops import sigmoid, softplus
from a3c_exp.models.distributions.base import Distribution


class Bernoulli(Distribution):
    """``d`` independent binary choices; parameters are the logits of 1, ``[..., d]``, an action is 0 or 1, int64 ``[..., d]``.

    With ``s(x) = log(1 + e^x)``: ``log p(1) = -s(-l)``, ``log p(0) = -s(l)``; the entropy ``s(l) - l sigmoid(l)`` is even in
    ``l`` and taken at ``-|l|``, where nothing cancels.
    """

    normal_noise = 0

    def __init__(self, dimensions: int) -> None:
        assert dimensions >= 1, dimensions
        self.dimensions = self.action_size = dimensions
        self.parameters_size = self.uniform_noise = dimensions
        self.max_entropy = dimensions * math.log(2)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return (noise < sigmoid(parameters)).to(torch.int64)

    def mode(self, parameters: Tensor) -> Tensor:
        return (parameters > 0).to(torch.int64)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        against = (1 - 2 * action) * parameters  # the logit of the other value
        return -softplus(against).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        size = parameters.abs()
        return (softplus(-size) + size * sigmoid(-size)).sum(dim=-1)

    def max_probability(self, parameters: Tensor) -> Tensor:
        return torch.exp(-softplus(-parameters.abs()).sum(dim=-1))
