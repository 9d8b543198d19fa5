"""What recurrent models have in common: features of each observation, one cell, then policy and value from its state."""

from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.heads import Head
from a3c_exp.models.layers.cells import Cell


class Recurrent(ActorCritic):
    """A recurrent actor-critic; a subclass computes the features of an observation.

    In a window only the cell's dependence on its own state is stepped: features, and the cell's product with them, are
    computed for all steps at once, and so are policy and value. One product of n rows costs far less than n of one row.

    Attributes:
        cell: the recurrent layer.
        policy, value: the last layers, from the cell's state.
    """

    cell: Cell
    policy: Head
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
