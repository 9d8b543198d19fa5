"""Two separate networks: an actor and a critic that share no weight."""

from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.dense import Dense, FlattenObservation, Widths
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import WeightStd, initialize


class SeparateMLP(ActorCritic):
    """The Pendulum report's networks: actor 3 -> 200 -> (mean, sigma), critic 3 -> 100 -> value, relu6 between.

    Args:
        actor_hidden, critic_hidden: widths of the hidden layers; none makes a linear network.
        others: as in ``SharedMLP``, which also says what is refused.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        actor_hidden: Widths = (200,),
        critic_hidden: Widths = (100,),
        activation: str = "relu6",
        head: HeadConfig | None = None,
        weight_std: WeightStd = 0.1,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.flatten = FlattenObservation(observation_space)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.actor = Dense(self.flatten.size, actor_hidden, activation)
            self.critic = Dense(self.flatten.size, critic_hidden, activation)
            self.policy = make_head(self.actor.out_features, action_space, head or HeadConfig())
            self.value = nn.Linear(self.critic.out_features, 1)
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, weight_std, orthogonal, seed)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        flat = self.flatten(observation)
        return PolicyValue(self.policy(self.actor(flat)), self.value(self.critic(flat)).squeeze(-1), hidden_state)
