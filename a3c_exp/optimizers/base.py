"""What an optimiser must offer to be shared: arithmetic on flat tensors, with no state of its own."""

from collections.abc import Sequence
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.config.type_checks import Example

LearningRate = Annotated[float, Gt(0), Example(1e-3)]
Decay = Annotated[float, Ge(0), Lt(1)]
"""Of a moving average: the share of the earlier value that stays."""


class Optimizer(Protocol):
    """One update of all weights at once. The caller owns the memory, so it can be shared, checkpointed or doubled.

    Attributes:
        lr: the base learning rate. The caller decides each step's own: workers may differ, and rates be annealed.
        state_rows: how many vectors of the weights' length it keeps (Adam 2, plain SGD 0).
    """

    lr: float
    state_rows: int

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        """Apply one gradient.

        Args:
            weights: ``[P]`` float32, changed in place.
            gradient: ``[P]``, left as it is.
            optimizer_state: ``[state_rows, P]``, changed in place; all zeros before the first update.
            updates: how many updates came before this one (for bias corrections).
            lr: the learning rate of this step.
        """


@runtime_checkable
class FunctionalOptimizer(Optimizer, Protocol):
    """One that can also say what an update comes to without writing anything, for a compiler to string updates together."""

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[m, count]``: the numbers of each update that hang on its place and learning rate alone. They are worked out here
        since a compiler would do so anew for every weight."""

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The new weights ``[P]`` and the new state, ``state_rows`` times ``[P]``; equal to ``step`` to rounding.

        Args:
            weights, gradient: as ``step`` takes them, left as they are.
            optimizer_state: its rows; apart, so that a compiler keeps them in registers from one update to the next.
            coefficients: ``[m]`` float32 of this update.
        """
