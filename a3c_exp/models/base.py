"""What a model must offer: parameters of a policy and a value for each observation."""

from typing import NamedTuple

from torch import Tensor, nn

from a3c_exp.core.distributions import Distribution


class PolicyValue(NamedTuple):
    """What a model says of observations ``[..., *observation]``."""

    parameters: Tensor  # [..., family.parameters_size]
    value: Tensor  # [...], no trailing 1: a [n, 1] value against a [n] target broadcasts to nonsense
    state: Tensor  # [..., state_size], the recurrent state after this observation


class ActorCritic(nn.Module):
    """An actor and a critic in one module, written for one worker's weights; stacking is not its business.

    Attributes:
        family: the distribution over actions whose parameters it computes.
        state_size: numbers of recurrent state; 0 for feed-forward models.
        stackable: whether K copies of its weights run faster stacked than one by one (small dense layers do, convolutions
            do not).
    """

    family: Distribution
    state_size: int = 0
    stackable: bool = True

    def forward(self, observation: Tensor, state: Tensor) -> PolicyValue:
        """Parameters and value of observations with any leading shape; asking never changes the module."""
        raise NotImplementedError
