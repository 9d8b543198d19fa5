"""What every policy head is."""

from torch import Tensor, nn

from a3c_exp.models.distributions import Distribution


class Head(nn.Module):
    """From features ``[..., features]`` to a distribution's parameters ``[..., distribution.parameters_size]``.

    Attributes:
        distribution: the distribution whose parameters it computes.
    """

    distribution: Distribution

    def forward(self, features: Tensor) -> Tensor:
        raise NotImplementedError
