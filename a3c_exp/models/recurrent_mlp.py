"""A recurrent cell between dense layers and the heads, for partially observed environments."""

from enum import StrEnum
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.initialization import WeightStd, initialize
from a3c_exp.models.layers.cells import GRUCell, LSTMCell
from a3c_exp.models.layers.dense import Dense, FlattenObservation, Widths
from a3c_exp.models.recurrent import Recurrent


class CellKind(StrEnum):
    """The recurrent cell: ``lstm`` carries twice the state."""

    gru = "gru"
    lstm = "lstm"


CELLS = {CellKind.gru: GRUCell, CellKind.lstm: LSTMCell}


class RecurrentMLP(Recurrent):
    """Dense layers, one recurrent cell, then policy and value from its state.

    Args:
        observation_space, action_space: of one environment.
        hidden: widths of the layers before the cell; none feeds it the observation itself.
        cell: gru or lstm.
        hidden_size: size of the cell's state, the input of policy and value.
        activation: of the layers before the cell: one of relu, relu6, tanh, elu, silu.
        head: the policy's last layer.
        weight_std: weights are drawn from N(0, weight_std) and biases are 0; ``None`` keeps each layer's own initialization.
        orthogonal: draw orthogonal weights instead.
        seed: of the weights.

    Raises:
        ConfigError: a width below 1, an unknown cell or activation, two ways to draw weights, or a head that does not fit the
            action space.
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
            self.body = Dense("hidden", self.flatten.size, hidden, activation)
            self.cell = CELLS[CellKind(cell)](self.body.out_features, hidden_size)
            self.policy = make_head(hidden_size, action_space, head or HeadConfig())
            self.value = nn.Linear(hidden_size, 1)
        self.hidden_state_size = self.cell.hidden_state_size
        self.distribution = self.policy.distribution
        initialize(self, self.policy, self.value, weight_std, orthogonal, seed)

    def features(self, observation: Tensor) -> Tensor:
        features: Tensor = self.body(self.flatten(observation))
        return features
