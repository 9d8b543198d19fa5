"""Discrete choices: one out of several, several independent ones, and binary ones."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.compile.stable_ops import sigmoid, softplus
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
        return torch.log_softmax(parameters, dim=-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)

    def max_probability(self, parameters: Tensor) -> Tensor:
        return torch.log_softmax(parameters, dim=-1).amax(dim=-1).exp()


class MultiCategorical(Distribution):
    """``d`` independent choices, the i-th of ``sizes[i]``; an action is an int64 ``[..., d]``.

    Parameters are the logits of the first choice, then those of the second, and so on: ``[..., sum(sizes)]``.

    >>> distribution = MultiCategorical([2, 3])
    >>> distribution.sample(torch.zeros(5), torch.tensor([0.6, 0.1])).tolist()
    [1, 0]
    """

    normal_noise = 0

    def __init__(self, sizes: Sequence[int]) -> None:
        assert len(sizes) >= 1 and min(sizes) >= 1, sizes
        self.sizes = [int(size) for size in sizes]
        self.action_size = self.uniform_noise = len(self.sizes)
        self.parameters_size = sum(self.sizes)
        self.max_entropy = sum(math.log(size) for size in self.sizes)
        self._max_size = max(self.sizes)

    def _padded_logits(self, parameters: Tensor) -> Tensor:
        """Logits ``[..., d, widest]``; an action that a choice does not have has probability 0."""
        if min(self.sizes) == self._max_size:
            return parameters.reshape(*parameters.shape[:-1], len(self.sizes), self._max_size)
        # Not minus infinity: 0 * -inf in the entropy would be NaN.
        never = torch.finfo(parameters.dtype).min / 2
        pieces = torch.split(parameters, self.sizes, dim=-1)
        padded = [
            functional.pad(piece, (0, self._max_size - size), value=never) if size < self._max_size else piece
            for piece, size in zip(pieces, self.sizes, strict=True)
        ]
        return torch.stack(padded, dim=-2)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Inverse of each cumulative distribution at its own uniform number of ``[..., d]`` in [0, 1)."""
        cumulative = torch.softmax(self._padded_logits(parameters), dim=-1).cumsum(dim=-1)
        # Divided by itself the last sum is 1 whatever its rounding, so noise below 1 never reaches a padded action.
        cumulative = cumulative / cumulative[..., -1:]
        return (cumulative <= noise.unsqueeze(-1)).sum(dim=-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return self._padded_logits(parameters).argmax(dim=-1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(self._padded_logits(parameters), dim=-1)
        return log_probabilities.gather(-1, action.unsqueeze(-1)).squeeze(-1).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(self._padded_logits(parameters), dim=-1)
        return -(log_probabilities.exp() * log_probabilities).sum(dim=(-2, -1))

    def max_probability(self, parameters: Tensor) -> Tensor:
        return torch.log_softmax(self._padded_logits(parameters), dim=-1).amax(dim=-1).sum(dim=-1).exp()


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
