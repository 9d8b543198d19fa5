"""One choice out of several."""

import math

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution


class Categorical(Distribution):
    """One of ``n`` actions; parameters are the logits ``[..., n]``, an action is an int64 ``[...]``.

    >>> Categorical(4).entropy(torch.zeros(4)).div(math.log(10)).item()  # doctest: +ELLIPSIS
    0.602...
    """

    uniform_noise = 1
    normal_noise = 0

    def __init__(self, n: int) -> None:
        assert n >= 1, n
        self.n = n
        self.parameters_size = n
        self.max_entropy = math.log(n)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Inverse of the cumulative distribution at a uniform number ``[..., 1]`` in [0, 1)."""
        # The last sum is 1 but for rounding, and the noise below 1: left out, it can make no action of n.
        cumulative = torch.softmax(parameters, dim=-1)[..., :-1].cumsum(dim=-1)
        return (cumulative <= noise).sum(dim=-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(dim=-1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return log_probabilities.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)

    def max_probability(self, parameters: Tensor) -> Tensor:
        return torch.log_softmax(parameters, dim=-1).amax(dim=-1).exp()
