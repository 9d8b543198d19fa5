"""One body that policy and value share, with a last layer each."""

from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.dense import Dense, FlattenObservation, Widths
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import WeightStd, initialize


class SharedMLP(ActorCritic):
    """The CartPole notebook's network: 4 -> 128 -> 128, ReLU, then two logits and a value.

    Args:
        observation_space, action_space: of one environment.
        hidden: widths of the shared layers; none makes a linear network.
        activation: one of relu, relu6, tanh, elu, silu.
        weight_std: weights are drawn from N(0, weight_std) and biases are 0; ``None`` keeps each layer's own initialization.
        orthogonal: draw orthogonal weights instead.

    Raises:
        ConfigError: an unknown activation, two ways to draw weights, or a head that does not fit the action space.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        hidden: Widths = (128, 128),
        activation: str = "relu",
        head: HeadConfig | None = None,
        weight_std: WeightStd = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.flatten = FlattenObservation(observation_space)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.body = Dense(self.flatten.size, hidden, activation)
            self.policy = make_head(self.body.out_features, action_space, head or HeadConfig())
            self.value = nn.Linear(self.body.out_features, 1)
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, weight_std, orthogonal, seed)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        features = self.body(self.flatten(observation))
        return PolicyValue(self.policy(features), self.value(features).squeeze(-1), hidden_state)
