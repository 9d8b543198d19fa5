"""Independent Gaussians."""

import math

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Normal(Distribution):
    """Independent Gaussians over ``dimensions`` numbers; parameters are means, then standard deviations.

    ``log p(a) = sum_i [ -(a_i - mu_i)^2 / (2 sigma_i^2) - log sigma_i - log(2 pi) / 2 ]``, whose derivative by sigma is
    ``-1/sigma + (a - mu)^2 / sigma^3``. It is the density of the sample before any clip: only the environment clips.
    """

    uniform_noise = 0
    max_entropy = None

    def __init__(self, dimensions: int) -> None:
        assert dimensions >= 1, dimensions
        self.dimensions = self.action_size = dimensions
        self.normal_noise = dimensions
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
        return (-0.5 * deviation * deviation - torch.log(std) - HALF_LOG_2PI).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        std = self._split(parameters)[1]
        return (torch.log(std) + (0.5 + HALF_LOG_2PI)).sum(dim=-1)

    def max_probability(self, parameters: Tensor) -> Tensor:
        return torch.full_like(parameters[..., 0], math.nan)
