"""Several independent families as one, for actions with parts of different kinds."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from a3c_exp.models.distributions.base import Distribution


class Component(Distribution, Protocol):
    """A family whose action is a vector ``[..., action_size]``; of ours, all but ``Categorical`` and ``ProductDistribution``."""

    action_size: int


class ProductDistribution(Distribution):
    """Independent families side by side; parameters and actions are concatenated in the components' order.

    Log-probability and entropy are sums over components. An action is int64 if all components are discrete; otherwise it is
    float32, in which the integers up to 2^24 are exact.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        assert components, "a joint family of nothing"
        self.components = list(components)
        self.parameters_size = sum(one.parameters_size for one in components)
        self.uniform_noise = sum(one.uniform_noise for one in components)
        self.normal_noise = sum(one.normal_noise for one in components)
        self.action_size = sum(one.action_size for one in components)
        most = [one.max_entropy for one in components if one.max_entropy is not None]
        self.max_entropy = sum(most) if len(most) == len(components) else None
        self._parameter_sizes = [one.parameters_size for one in components]
        self._action_sizes = [one.action_size for one in components]

    def _split_parameters(self, parameters: Tensor) -> "zip[tuple[Component, Tensor]]":
        return zip(self.components, torch.split(parameters, self._parameter_sizes, dim=-1), strict=True)

    def _split_noise(self, noise: Tensor) -> list[Tensor]:
        """Each component's own noise: its share of the uniform block, then its share of the normal block."""
        places, uniform, normal = [], 0, self.uniform_noise
        for one in self.components:
            blocks = []
            if one.uniform_noise:
                blocks.append(noise[..., uniform : uniform + one.uniform_noise])
            if one.normal_noise:
                blocks.append(noise[..., normal : normal + one.normal_noise])
            uniform += one.uniform_noise
            normal += one.normal_noise
            places.append(blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1))
        return places

    def _join_actions(self, actions: list[Tensor]) -> Tensor:
        if self.max_entropy is None:
            real = next(one.dtype for one in actions if one.is_floating_point())
            actions = [one.to(real) for one in actions]
        return torch.cat(actions, dim=-1)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        own = zip(self._split_parameters(parameters), self._split_noise(noise), strict=True)
        return self._join_actions([one.sample(its, drawn) for (one, its), drawn in own])

    def mode(self, parameters: Tensor) -> Tensor:
        return self._join_actions([one.mode(its) for one, its in self._split_parameters(parameters)])

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        total = torch.zeros_like(parameters[..., 0])
        for (one, its), part in zip(
            self._split_parameters(parameters), torch.split(action, self._action_sizes, dim=-1), strict=True
        ):
            total = total + one.log_prob(its, part if one.max_entropy is None else part.to(torch.int64))
        return total

    def entropy(self, parameters: Tensor) -> Tensor:
        return torch.stack([one.entropy(its) for one, its in self._split_parameters(parameters)]).sum(dim=0)

    def max_probability(self, parameters: Tensor) -> Tensor:
        sure = [one.max_probability(its) for one, its in self._split_parameters(parameters) if one.max_entropy is not None]
        return torch.stack(sure).prod(dim=0) if sure else torch.full_like(parameters[..., 0], math.nan)
