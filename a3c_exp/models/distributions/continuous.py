"""Gaussians and mixtures of them, for real-valued actions."""

import math

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_MEAN_SHIFT_STEPS = 16


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
        return (-0.5 * deviation * deviation - torch.log(std) - _HALF_LOG_2PI).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        std = self._split(parameters)[1]
        return (torch.log(std) + (0.5 + _HALF_LOG_2PI)).sum(dim=-1)


class NormalMixture(Distribution):
    """A mixture of Gaussians for each of ``dimensions`` numbers, independent of the other numbers' mixtures.

    Log-probability and entropy are sums over dimensions; there are up to ``components ** dimensions`` modes. Parameters
    ``[..., 3 * dimensions * components]`` are the logits of the components' weights, then means, then standard deviations, each
    block dimension by dimension.

    ``log p(a) = sum_d log sum_i w_di N(a_d; mu_di, sigma_di^2)``

    The entropy of a mixture has no closed form. ``entropy`` is the pairwise-distance estimator of Kolchinsky & Tracey 2017
    ("Estimating mixture entropy with pairwise distances", arXiv:1706.02419) with the Bhattacharyya distance, a sum
    over dimensions of

    ``sum_i w_i H_i - sum_i w_i log sum_j w_j exp(-B_ij)``, where ``H_i = log(sigma_i) + (1 + log(2 pi)) / 2`` and
    ``B_ij = (mu_i - mu_j)^2 / (4 (sigma_i^2 + sigma_j^2)) + log((sigma_i^2 + sigma_j^2) / (2 sigma_i sigma_j)) / 2``.

    It is a lower bound, at least ``sum_i w_i H_i``, and exact for one component, for equal ones and for distant ones.
    """

    max_entropy = None

    def __init__(self, dimensions: int, components: int) -> None:
        assert dimensions >= 1 and components >= 1, (dimensions, components)
        self.dimensions = self.action_size = dimensions
        self.components = components
        self.uniform_noise = self.normal_noise = dimensions
        self.parameters_size = 3 * dimensions * components

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and standard deviations, each ``[..., dimensions, components]``."""
        blocks = parameters.reshape(*parameters.shape[:-1], 3, self.dimensions, self.components)
        logits, mean, std = blocks.unbind(dim=-3)
        return torch.log_softmax(logits, dim=-1), mean, std

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """A component by the inverse of the cumulative weights, then its Gaussian."""
        log_weight, mean, std = self._split(parameters)
        uniform, normal = torch.split(noise, self.dimensions, dim=-1)
        cumulative = log_weight.exp().cumsum(dim=-1)
        component = (cumulative <= uniform.unsqueeze(-1)).sum(dim=-1, keepdim=True).clamp(max=self.components - 1)
        return mean.gather(-1, component).squeeze(-1) + std.gather(-1, component).squeeze(-1) * normal

    def mode(self, parameters: Tensor) -> Tensor:
        """The highest of the modes that mean-shift climbs to from the components' means, a fixed number of steps.

        The fixed point ``a = sum_i r_i(a) mu_i / sigma_i^2 / sum_i r_i(a) / sigma_i^2``, where ``r_i(a)`` is component i's
        share of the density at ``a``: Carreira-Perpinan 2000, "Mode-finding for mixtures of Gaussian distributions".
        """
        log_weight, mean, std = (part.unsqueeze(-2) for part in self._split(parameters))  # [..., d, 1, c]
        precision = std.pow(-2)
        points = mean.transpose(-1, -2)  # [..., d, c, 1]: every component's mean is a place to start
        for _ in range(_MEAN_SHIFT_STEPS):
            pull = torch.softmax(_log_densities(log_weight, mean, std, points), dim=-1) * precision
            points = (pull * mean).sum(dim=-1, keepdim=True) / pull.sum(dim=-1, keepdim=True)
        height = torch.logsumexp(_log_densities(log_weight, mean, std, points), dim=-1)  # [..., d, c]
        return points.squeeze(-1).gather(-1, height.argmax(dim=-1, keepdim=True)).squeeze(-1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_weight, mean, std = self._split(parameters)
        return torch.logsumexp(_log_densities(log_weight, mean, std, action.unsqueeze(-1)), dim=-1).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_weight, mean, std = self._split(parameters)
        own = torch.log(std) + (0.5 + _HALF_LOG_2PI)
        variance, log_std = std * std, torch.log(std)
        sums = variance.unsqueeze(-1) + variance.unsqueeze(-2)  # [..., d, c, c]
        difference = mean.unsqueeze(-1) - mean.unsqueeze(-2)
        log_ratio = torch.log(0.5 * sums) - log_std.unsqueeze(-1) - log_std.unsqueeze(-2)
        distance = 0.25 * difference * difference / sums + 0.5 * log_ratio
        overlap = torch.logsumexp(log_weight.unsqueeze(-2) - distance, dim=-1)
        return (log_weight.exp() * (own - overlap)).sum(dim=(-2, -1))


def _log_densities(log_weight: Tensor, mean: Tensor, std: Tensor, points: Tensor) -> Tensor:
    """Each component's weighted log-density at ``points``, which broadcasts over components."""
    deviation = (points - mean) / std
    return log_weight - 0.5 * deviation * deviation - torch.log(std) - _HALF_LOG_2PI
