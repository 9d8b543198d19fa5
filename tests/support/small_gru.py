"""A recurrent model small enough to check by hand: one GRU cell, written out."""

import torch
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.distributions import Categorical


class SmallGRU(ActorCritic):
    """Observations ``[..., inputs]`` through one GRU cell to the logits of three actions and a value."""

    def __init__(self, inputs: int = 2, hidden: int = 4, seed: int = 0, stackable: bool = True) -> None:
        super().__init__()
        self.distribution = Categorical(3)
        self.hidden_state_size = hidden
        self.stackable = stackable
        generator = torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).normal_(0.0, 0.5, generator=generator))

        self.from_input, self.from_state = drawn(3 * hidden, inputs), drawn(3 * hidden, hidden)
        self.bias = drawn(3 * hidden)
        self.logits, self.value = drawn(3, hidden), drawn(hidden)

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        seen = observation @ self.from_input.T + self.bias
        remembered = hidden_state @ self.from_state.T
        reset_in, update_in, new_in = seen.chunk(3, dim=-1)
        reset_by, update_by, new_by = remembered.chunk(3, dim=-1)
        reset, update = torch.sigmoid(reset_in + reset_by), torch.sigmoid(update_in + update_by)
        new = torch.tanh(new_in + reset * new_by)
        hidden_state = (1 - update) * new + update * hidden_state
        return PolicyValue(hidden_state @ self.logits.T, hidden_state @ self.value, hidden_state)
