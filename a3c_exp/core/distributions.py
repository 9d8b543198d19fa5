"""Policies over actions as stateless functions of their parameters, cheap enough for the innermost loop.

A family is one object a model owns. Its functions take the parameters as a plain tensor ``[..., parameters]`` (what a head
puts out) and noise that was drawn beforehand, so that the same code runs eagerly, under vmap and traced.
"""

import math
from typing import Literal, Protocol

import torch
from torch import Tensor

NoiseKind = Literal["normal", "uniform"]
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Distribution(Protocol):
    """What a policy family offers. ``parameters`` is always ``[..., parameters_size]``."""

    parameters_size: int
    noise_kind: NoiseKind
    noise_size: int

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """An action, a deterministic function of the parameters and of noise ``[..., noise_size]``."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most likely action: what a deterministic evaluation does."""

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Joint log-probability (density) ``[...]`` of an action, summed over its dimensions."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Joint (differential) entropy ``[...]`` in nats, summed over action dimensions."""


class Categorical:
    """One of ``n`` actions; parameters are the logits ``[..., n]``, an action is an int64 ``[...]``.

    >>> Categorical(4).entropy(torch.zeros(4)).div(math.log(10)).item()  # doctest: +ELLIPSIS
    0.602...
    """

    noise_kind: NoiseKind = "uniform"
    noise_size = 1

    def __init__(self, n: int) -> None:
        assert n >= 1, n
        self.n = n
        self.parameters_size = n

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Inverse of the cumulative distribution at a uniform number ``[..., 1]`` in [0, 1)."""
        cumulative = torch.softmax(parameters, dim=-1).cumsum(dim=-1)
        # Rounding can leave the last sum below 1 and the noise above it; the clamp keeps the action valid.
        return (cumulative <= noise).sum(dim=-1).clamp(max=self.n - 1)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(dim=-1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return log_probabilities.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)


class Normal:
    """Independent Gaussians over ``dimensions`` numbers; parameters are means, then standard deviations.

    ``log p(a) = sum_i [ -(a_i - mu_i)^2 / (2 sigma_i^2) - log sigma_i - log(2 pi) / 2 ]``, whose derivative by sigma is
    ``-1/sigma + (a - mu)^2 / sigma^3``. It is the density of the sample before any clip: only the environment clips.
    """

    noise_kind: NoiseKind = "normal"

    def __init__(self, dimensions: int) -> None:
        assert dimensions >= 1, dimensions
        self.dimensions = dimensions
        self.noise_size = dimensions
        self.parameters_size = 2 * dimensions

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = torch.split(parameters, self.dimensions, dim=-1)
        return mean, std

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        mean, std = self._split(parameters)
        return mean + std * noise

    def mode(self, parameters: Tensor) -> Tensor:
        return self._split(parameters)[0]

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        mean, std = self._split(parameters)
        deviation = (action - mean) / std
        return (-0.5 * deviation * deviation - torch.log(std) - _HALF_LOG_2PI).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        std = self._split(parameters)[1]
        return (torch.log(std) + (0.5 + _HALF_LOG_2PI)).sum(dim=-1)
