"""Gaussians whose noise is a function of the state, the same for several steps."""

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution
from a3c_exp.models.distributions.continuous import Normal

_VARIANCE_FLOOR = 1e-6  # as in stable-baselines3: a state whose features are all zero has a density, too


class StateDependentNoise(Distribution):
    """Generalized state-dependent exploration (gSDE): Raffin et al. 2021, "Smooth exploration for robotic reinforcement
    learning" (arXiv:2005.05719), section 3.

    An action is ``mean_i + sum_j features_j W_ij`` with ``W_ij ~ N(0, sigma_ij^2)``, drawn anew every ``sde_sample_freq``
    steps: equal states get equal noise in between. Over all ``W`` it is Gaussian with the variance
    ``sum_j (features_j sigma_ij)^2``, to which 1e-6 is added; density and entropy are that Gaussian's. Parameters are the means
    ``[dimensions]``, then ``features_j sigma_ij``, ``[dimensions, features]``.
    """

    uniform_noise = normal_noise = 0
    max_entropy = None

    def __init__(self, dimensions: int, features: int, sde_sample_freq: int = -1) -> None:
        assert dimensions >= 1 and features >= 1, (dimensions, features)
        self.dimensions = self.action_size = dimensions
        self.features, self.sde_sample_freq = features, sde_sample_freq
        self.sde_noise = dimensions * features
        self.parameters_size = dimensions + self.sde_noise
        self._normal = Normal(dimensions)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, scaled = torch.split(parameters, [self.dimensions, self.sde_noise], dim=-1)
        return mean, self._by_dimension(scaled)

    def _by_dimension(self, numbers: Tensor) -> Tensor:
        return numbers.reshape(*numbers.shape[:-1], self.dimensions, self.features)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        mean, scaled = self._split(parameters)
        return mean + (scaled * self._by_dimension(noise)).sum(dim=-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return self._split(parameters)[0]

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        return self._normal.log_prob(self.mean_and_std(parameters), action)

    def entropy(self, parameters: Tensor) -> Tensor:
        return self._normal.entropy(self.mean_and_std(parameters))

    def mean_and_std(self, parameters: Tensor) -> Tensor:
        """``[..., 2 * dimensions]`` as ``Normal`` takes them."""
        mean, scaled = self._split(parameters)
        return torch.cat([mean, torch.sqrt((scaled * scaled).sum(dim=-1) + _VARIANCE_FLOOR)], dim=-1)
