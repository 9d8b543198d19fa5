"""Several independent distributions as one, for actions with parts of different kinds."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution


class Component(Distribution, Protocol):
    """A distribution whose action is a vector ``[..., action_size]``."""

    action_size: int


class ProductDistribution(Distribution):
    """Independent distributions side by side; parameters and actions are concatenated in the components' order.

    Log-probability and entropy are sums over components. An action is int64 if all components are discrete; otherwise it is
    float32, in which the integers up to 2^24 are exact.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        assert components, "a product needs at least one component"
        self.components = list(components)
        self.parameters_size = sum(each.parameters_size for each in components)
        self.uniform_noise = sum(each.uniform_noise for each in components)
        self.normal_noise = sum(each.normal_noise for each in components)
        self.sde_noise = sum(each.sde_noise for each in components)
        self.sde_sample_freq = next((each.sde_sample_freq for each in components if each.sde_noise), -1)
        self.action_size = sum(each.action_size for each in components)
        entropies = [each.max_entropy for each in components if each.max_entropy is not None]
        self.max_entropy = sum(entropies) if len(entropies) == len(components) else None
        self._parameter_sizes = [each.parameters_size for each in components]
        self._action_sizes = [each.action_size for each in components]

    def _split_parameters(self, parameters: Tensor) -> "zip[tuple[Component, Tensor]]":
        return zip(self.components, torch.split(parameters, self._parameter_sizes, dim=-1), strict=True)

    def _split_noise(self, noise: Tensor) -> list[Tensor]:
        """Each component's own noise: its share of the uniform block, of the normal block, and of what several steps share."""
        parts, ends = [], [0, self.uniform_noise, self.uniform_noise + self.normal_noise]
        for each in self.components:
            begins, sizes = ends, (each.uniform_noise, each.normal_noise, each.sde_noise)
            ends = [begin + size for begin, size in zip(begins, sizes, strict=True)]
            blocks = [noise[..., begin:end] for begin, end in zip(begins, ends, strict=True) if end > begin]
            parts.append(blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1))
        return parts

    def _join_actions(self, actions: list[Tensor]) -> Tensor:
        if self.max_entropy is None:
            dtype = next(action.dtype for action in actions if action.is_floating_point())
            actions = [action.to(dtype) for action in actions]
        return torch.cat(actions, dim=-1)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        inputs = zip(self._split_parameters(parameters), self._split_noise(noise), strict=True)
        return self._join_actions([each.sample(own, own_noise) for (each, own), own_noise in inputs])

    def mode(self, parameters: Tensor) -> Tensor:
        return self._join_actions([each.mode(own) for each, own in self._split_parameters(parameters)])

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        total = torch.zeros_like(parameters[..., 0])
        for (each, own), part in zip(
            self._split_parameters(parameters), torch.split(action, self._action_sizes, dim=-1), strict=True
        ):
            total = total + each.log_prob(own, part if each.max_entropy is None else part.to(torch.int64))
        return total

    def entropy(self, parameters: Tensor) -> Tensor:
        return torch.stack([each.entropy(own) for each, own in self._split_parameters(parameters)]).sum(dim=0)

    def max_probability(self, parameters: Tensor) -> Tensor:
        parts = self._split_parameters(parameters)
        discrete = [each.max_probability(own) for each, own in parts if each.max_entropy is not None]
        return torch.stack(discrete).prod(dim=0) if discrete else super().max_probability(parameters)
