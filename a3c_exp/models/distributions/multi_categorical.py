"""Several independent choices at once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.models.distributions.base import Distribution


class MultiCategorical(Distribution):
    """``d`` independent choices, the i-th of ``sizes[i]``; an action is an int64 ``[..., d]``.

    Parameters are the logits of the first choice, then those of the second, and so on: ``[..., sum(sizes)]``. Choices of
    different sizes are padded to one rectangle, so that the cost hardly depends on how many there are.

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
