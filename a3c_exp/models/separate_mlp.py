"""Two separate networks: an actor and a critic that share no weight."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn import functional

from a3c_exp.core.errors import ConfigError
from a3c_exp.models.base import ActorCritic, PolicyValue, seeded_weights
from a3c_exp.models.heads import HeadSpec, make_head

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "silu": functional.silu,
}


class SeparateMLP(ActorCritic):
    """The Pendulum report's networks: actor 3 -> 200 -> (mean, sigma), critic 3 -> 100 -> value, relu6 between.

    Args:
        observation_space, action_space: of one environment.
        actor_hidden, critic_hidden: widths of the hidden layers.
        activation: one of relu, relu6, tanh, elu, silu.
        head: the policy's last layer.
        weight_std: weights are drawn from N(0, weight_std) and biases are 0; ``None`` keeps each layer's own initialisation.
        seed: of the weights.

    Raises:
        ConfigError: a width below 1, an unknown activation, or a head that does not fit the action space.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        actor_hidden: Sequence[int] = (200,),
        critic_hidden: Sequence[int] = (100,),
        activation: str = "relu6",
        head: HeadSpec | None = None,
        weight_std: float | None = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f"model.activation is {activation}, but it is one of {', '.join(ACTIVATIONS)}. Try model.activation=relu6"
            )
        if weight_std is not None and not weight_std > 0:
            raise ConfigError(
                f"model.weight_std is {weight_std}, but it is above 0, or null for torch's own. Try model.weight_std=0.1"
            )
        assert observation_space.shape is not None, observation_space
        inputs = int(torch.Size(observation_space.shape).numel())
        self._observation_dims = len(observation_space.shape)
        self.activation = activation
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.actor = _layers("actor_hidden", inputs, actor_hidden)
            self.critic = _layers("critic_hidden", inputs, critic_hidden)
            self.policy = make_head(actor_hidden[-1], action_space, head or HeadSpec())
            self.value = nn.Linear(critic_hidden[-1], 1)
        self.family = self.policy.family
        seeded_weights(self, weight_std, torch.Generator().manual_seed(seed))

    def forward(self, observation: Tensor, state: Tensor) -> PolicyValue:
        flat = observation.flatten(-self._observation_dims) if self._observation_dims > 1 else observation
        activation = ACTIVATIONS[self.activation]
        actor, critic = flat, flat
        for layer in self.actor:
            actor = activation(layer(actor))
        for layer in self.critic:
            critic = activation(layer(critic))
        return PolicyValue(self.policy(actor), self.value(critic).squeeze(-1), state)


def _layers(key: str, inputs: int, widths: Sequence[int]) -> nn.ModuleList:
    if not widths or min(widths) < 1:
        raise ConfigError(
            f"model.{key} is {list(widths)}, but it lists at least one width of 1 or more. Try 'model.{key}=[100]'"
        )
    return nn.ModuleList(nn.Linear(a, b) for a, b in zip([inputs, *widths[:-1]], widths, strict=True))
