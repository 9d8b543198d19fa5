"""Which policy head, in the words of the command line."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from annotated_types import Gt

from a3c_exp.config.type_checks import PositiveInt


class HeadKind(StrEnum):
    """``auto`` picks by the action space, for each part of a Tuple or Dict; the others ask for one kind where it fits.

    ``categorical`` fits Discrete and MultiDiscrete, ``bernoulli`` MultiBinary, ``gaussian`` and ``mixture`` (of Gaussians) Box.
    """

    auto = "auto"
    categorical = "categorical"
    bernoulli = "bernoulli"
    gaussian = "gaussian"
    mixture = "mixture"


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


@dataclass(frozen=True)
class HeadConfig:
    """Which head, and the details of Gaussians (of no effect on discrete actions).

    Attributes:
        kind: auto, categorical, bernoulli, gaussian or mixture.
        mean: auto, scaled, tanh or linear.
        min_std: added to the softplus that gives the standard deviation, in action units; above 0.
        components: Gaussians a dimension of a mixture; at least 1.
    """

    kind: HeadKind = HeadKind.auto
    mean: MeanKind = MeanKind.auto
    min_std: Annotated[float, Gt(0)] = 1e-4
    components: PositiveInt = 3

    def __post_init__(self) -> None:
        for key, kind in (("kind", HeadKind), ("mean", MeanKind)):
            object.__setattr__(self, key, kind(getattr(self, key)))
