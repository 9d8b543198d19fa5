"""Recurrent models: what they have in common, and a cell between dense layers and the heads."""

from enum import StrEnum
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.cells import Cell, GRUCell, LSTMCell
from a3c_exp.models.dense import Dense, FlattenObservation, Widths
from a3c_exp.models.heads import Head, HeadConfig, make_head
from a3c_exp.models.initialization import WeightStd, initialize


class Recurrent(ActorCritic):
    """A recurrent actor-critic; a subclass computes the features of an observation. In a window only the cell's dependence on
    its own state is stepped; the rest is computed for all steps at once: one product of n rows costs far less than n of one."""

    cell: Cell
    policy: Head  # from the cell's state
    value: nn.Linear

    def features(self, observation: Tensor) -> Tensor:
        """The cell's inputs, ``[B, *observation] -> [B, inputs]``."""
        raise NotImplementedError

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        leading = hidden_state.shape[:-1]
        projected = self.cell.input_projection(self.features(_flatten_leading_dims(observation, len(leading))))
        return self._policy_value(self.cell.step(projected.view(*leading, -1), hidden_state))

    def unroll(self, observation: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None = None) -> PolicyValue:
        projected = self.cell.input_projection(self.features(_flatten_leading_dims(observation, episode_start.dim())))
        return self._policy_value(self.cell.unroll(projected.view(*episode_start.shape, -1), episode_start, hidden_state, bptt))

    def _policy_value(self, hidden_state: Tensor) -> PolicyValue:
        hidden = hidden_state[..., : self.cell.hidden_size]
        return PolicyValue(self.policy(hidden), self.value(hidden).squeeze(-1), hidden_state)


def _flatten_leading_dims(observation: Tensor, leading: int) -> Tensor:
    """``[..., *observation]`` as ``[B, *observation]``."""
    return observation.flatten(0, leading - 1) if leading else observation.unsqueeze(0)


class CellKind(StrEnum):
    """The recurrent cell: ``lstm`` carries twice the state."""

    gru = "gru"
    lstm = "lstm"


CELLS = {CellKind.gru: GRUCell, CellKind.lstm: LSTMCell}


class RecurrentMLP(Recurrent):
    """Dense layers, one recurrent cell, then policy and value from its state; for partially observed environments.

    Args:
        hidden: widths of the layers before the cell; none feeds it the observation itself.
        cell: gru or lstm.
        hidden_size: size of the cell's state, the input of policy and value.
        others: as in ``SharedMLP``, which also says what is refused.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        hidden: Widths = (128,),
        cell: CellKind = CellKind.gru,
        hidden_size: PositiveInt = 128,
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
            self.cell = CELLS[CellKind(cell)](self.body.out_features, hidden_size)
            self.policy = make_head(hidden_size, action_space, head or HeadConfig())
            self.value = nn.Linear(hidden_size, 1)
        self.hidden_state_size = self.cell.hidden_state_size
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, weight_std, orthogonal, seed)

    def features(self, observation: Tensor) -> Tensor:
        features: Tensor = self.body(self.flatten(observation))
        return features
