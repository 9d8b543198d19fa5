"""What every head offers, and what is configured of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor, nn

from a3c_exp.config.type_checks import Ne, PositiveInt
from a3c_exp.models.distributions import Distribution


class HeadKind(StrEnum):
    """``auto`` picks by the action space, for each part of a Tuple or Dict; the others ask for one kind where it fits.

    ``categorical`` fits Discrete and MultiDiscrete, ``bernoulli`` MultiBinary, ``gaussian`` and ``mixture`` (of Gaussians) Box,
    ``squashed_gaussian`` (tanh of Gaussians) and ``beta`` a Box with bounds.
    """

    auto = "auto"
    categorical = "categorical"
    bernoulli = "bernoulli"
    gaussian = "gaussian"
    mixture = "mixture"
    squashed_gaussian = "squashed_gaussian"
    beta = "beta"


class MeanKind(StrEnum):
    """How a Gaussian's mean is bounded.

    ``scaled``: tanh stretched over the action bounds. ``tanh``: tanh alone, in [-1, 1], as the Pendulum report's own listing
    has it (it can then use only half of Pendulum's torque). ``linear``: no bound. ``auto``: each number scaled where it has
    both bounds (of a size below 1e9; a box that says 3e38 means none), and linear elsewhere.
    """

    auto = "auto"
    scaled = "scaled"
    tanh = "tanh"
    linear = "linear"


class StdKind(StrEnum):
    """A Gaussian's standard deviation: a layer's (``state``), or one learned number a dimension (``parameter``)."""

    state = "state"
    parameter = "parameter"


@dataclass(frozen=True)
class HeadConfig:
    """Which head, and the details of Gaussians (of no effect on discrete actions)."""

    kind: HeadKind = HeadKind.auto
    mean: MeanKind = MeanKind.auto
    std: StdKind = StdKind.state
    # Where std=parameter or gSDE's sigma begins: its logarithm, in action units, before the tanh, or a feature's.
    log_std_init: float = 0.0
    # Added to the softplus (of the state) or the exponential (of the parameter) that gives the standard deviation.
    min_std: Annotated[float, Gt(0)] = 1e-4
    components: PositiveInt = 3  # Gaussians a dimension of a mixture
    use_sde: bool = False  # a Gaussian whose noise is a function of the features: see ``StateDependentNoise``
    sde_sample_freq: Annotated[int, Ge(-1), Ne(0)] = -1  # that function is drawn anew every so many steps; -1: every window
    full_std: bool = True  # its sigma has a number for each feature and dimension, or only for each feature
    learn_features: bool = False  # gradients flow through its standard deviation into the features

    def __post_init__(self) -> None:
        for key, kind in (("kind", HeadKind), ("mean", MeanKind), ("std", StdKind)):
            object.__setattr__(self, key, kind(getattr(self, key)))


class Head(nn.Module):
    """From features ``[..., features]`` to a distribution's parameters ``[..., distribution.parameters_size]``."""

    distribution: Distribution

    def forward(self, features: Tensor) -> Tensor:
        raise NotImplementedError
