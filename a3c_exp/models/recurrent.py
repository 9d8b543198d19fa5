"""What recurrent models have in common: features of each observation, one cell, then policy and value on its memory."""

from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.heads import Head
from a3c_exp.models.layers.cells import Cell


class Recurrent(ActorCritic):
    """An actor-critic with a memory; whoever derives says what is seen in an observation.

    In a window only the cell's dependence on its own state is stepped: features, and the cell's product with them, are
    computed for all steps at once, and so are policy and value. One product of n rows costs far less than n of one row.

    Attributes:
        cell: the memory.
        policy, value: the last layers, from what the cell shows.
    """

    cell: Cell
    policy: Head
    value: nn.Linear

    def features(self, observation: Tensor) -> Tensor:
        """What the cell is shown of observations with one leading dimension, ``[B, *observation] -> [B, inputs]``."""
        raise NotImplementedError

    def forward(self, observation: Tensor, state: Tensor) -> PolicyValue:
        leading = state.shape[:-1]
        seen = self.cell.seen(self.features(_one_batch(observation, len(leading))))
        return self._of(self.cell.step(seen.view(*leading, -1), state))

    def unroll(self, observation: Tensor, first: Tensor, state: Tensor, bptt: int | None = None) -> PolicyValue:
        seen = self.cell.seen(self.features(_one_batch(observation, first.dim())))
        return self._of(self.cell.unroll(seen.view(*first.shape, -1), first, state, bptt))

    def _of(self, state: Tensor) -> PolicyValue:
        remembered = state[..., : self.cell.memory]
        return PolicyValue(self.policy(remembered), self.value(remembered).squeeze(-1), state)


def _one_batch(observation: Tensor, leading: int) -> Tensor:
    """``[..., *observation]`` as ``[B, *observation]``."""
    return observation.flatten(0, leading - 1) if leading else observation.unsqueeze(0)
