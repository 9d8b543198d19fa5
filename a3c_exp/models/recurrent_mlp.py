"""A memory between a dense body and the last layers, for tasks whose observations do not say everything."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from a3c_exp.models.heads import HeadSpec, make_head
from a3c_exp.models.initialization import initialise
from a3c_exp.models.layers.cells import GRUCell, LSTMCell
from a3c_exp.models.layers.dense import Dense, Flattened
from a3c_exp.models.recurrent import Recurrent
from a3c_exp.system.errors import ConfigError


class CellKind(StrEnum):
    """The recurrent cell: ``lstm`` carries twice the state."""

    gru = "gru"
    lstm = "lstm"


CELLS = {CellKind.gru: GRUCell, CellKind.lstm: LSTMCell}


class RecurrentMLP(Recurrent):
    """Dense layers, one recurrent cell, then policy and value on its memory.

    Args:
        observation_space, action_space: of one environment.
        hidden: widths of the layers before the cell; none shows it the observation itself.
        cell: gru or lstm.
        memory: numbers that the cell remembers and shows to policy and value.
        activation: of the layers before the cell: one of relu, relu6, tanh, elu, silu.
        head: the policy's last layer.
        weight_std: weights are drawn from N(0, weight_std) and biases are 0; ``None`` keeps each layer's own initialisation.
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
        hidden: Sequence[int] = (128,),
        cell: str = "gru",
        memory: int = 128,
        activation: str = "relu",
        head: HeadSpec | None = None,
        weight_std: float | None = None,
        orthogonal: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if cell not in list(CellKind):
            raise ConfigError(f"model.cell is {cell}, but it is one of {', '.join(CellKind)}. Try model.cell=gru")
        if memory < 1:
            raise ConfigError(f"model.memory is {memory}, but it is at least 1. Try model.memory=128")
        self.flat = Flattened(observation_space)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from its global generator when they are made
            self.body = Dense("hidden", self.flat.size, hidden, activation)
            self.cell = CELLS[CellKind(cell)](self.body.outputs, memory)
            self.policy = make_head(memory, action_space, head or HeadSpec())
            self.value = nn.Linear(memory, 1)
        self.state_size = self.cell.state_size
        self.family = self.policy.family
        initialise(self, self.policy, self.value, weight_std, orthogonal, seed)

    def features(self, observation: Tensor) -> Tensor:
        features: Tensor = self.body(self.flat(observation))
        return features
