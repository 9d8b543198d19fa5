"""A model: a policy and a value that are linear in a Fourier basis of the observation."""

import itertools
import math
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import initialize
from a3c_exp.system.errors import ConfigError

_MAX_FEATURES = 10_000


class FourierActorCritic(ActorCritic):
    """``features_i = cos(pi c_i . x)`` for every integer vector ``c_i`` in ``{0 .. order}^d``, x scaled to [0, 1]^d.

    Konidaris, Osentoski & Thomas 2011, "Value function approximation in reinforcement learning using the Fourier basis".

    Args:
        observation_space: of one environment.
        action_space: of one environment.
        order: the highest frequency; there are ``(order + 1)^d`` features.
        weight_std: standard deviation of the initial weights of both linear layers.
        seed: of the initial weights.

    Raises:
        ConfigError: observations without bounds, or too many features.
    """

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], order: int = 3, weight_std: float = 0.01, seed: int = 0
    ) -> None:
        super().__init__()
        if not (isinstance(observation_space, Box) and len(observation_space.shape) == 1 and observation_space.is_bounded()):
            raise ConfigError(f"model=fourier needs a bounded vector, but this environment observes {observation_space}")
        size = observation_space.shape[0]
        if order < 1 or (count := (order + 1) ** size) > _MAX_FEATURES:
            raise ConfigError(
                f"model.order is {order}, but it must be at least 1, and (order + 1)^{size} features at most {_MAX_FEATURES}. "
                "Try model.order=1"
            )
        low, high = (torch.from_numpy(bound.astype(np.float32)) for bound in (observation_space.low, observation_space.high))
        frequencies = torch.tensor(list(itertools.product(range(order + 1), repeat=size)), dtype=torch.float32)
        # Constants are non-persistent buffers: checkpoints hold the parameters, which are all that is trained.
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("waves", math.pi * frequencies / (high - low), persistent=False)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw their initial weights from its global generator
            self.policy = make_head(count, action_space, HeadConfig())
            self.value = nn.Linear(count, 1)
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, weight_std, orthogonal=False, seed=seed)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        features = torch.cos((observation - self.get_buffer("low")) @ self.get_buffer("waves").T)
        return PolicyValue(self.policy(features), self.value(features).squeeze(-1), hidden_state)
