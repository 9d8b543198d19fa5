"""What an optimizer must offer to be shared: arithmetic on flat tensors, with no state of its own."""

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
    """One update of all weights at once. The caller owns the memory, so it can be shared, checkpointed or doubled. One that
    treats each weight by itself may say so by ``elementwise = True``: hogwild then may step a part of the weights at a time."""

    lr: float  # the base learning rate; the caller decides each step's own: workers may differ, and rates be annealed
    state_rows: int  # how many vectors of the weights' length it keeps (Adam 2, plain SGD 0)

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        """Apply one gradient.

        Args:
            weights: ``[P]`` float32, changed in place.
            gradient: ``[P]``, not changed.
            optimizer_state: ``[state_rows, P]``, changed in place; all zeros before the first update.
            updates: how many updates came before this one (for bias corrections).
            lr: of this step.
        """


@runtime_checkable
class FunctionalOptimizer(Optimizer, Protocol):
    """One that also offers an update as a pure function, so that a compiler can chain updates."""

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[m, count]``: the numbers of each update that depend only on its index and learning rate. They are computed
        here, since compiled code would compute them anew for every weight."""

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The new weights ``[P]`` and the new state, ``state_rows`` times ``[P]``; equal to ``step`` to rounding.

        Args:
            weights, gradient: as ``step`` takes them, not changed.
            optimizer_state: its rows, separately, so that compiled code keeps them in registers between updates.
            coefficients: ``[m]`` float32 of this update.
        """
