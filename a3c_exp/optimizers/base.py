"""What an optimiser must offer to be shared: pure in-place arithmetic on flat tensors, with no state of its own."""

from typing import Protocol

from torch import Tensor


class Optimizer(Protocol):
    """One update of all weights at once. The caller owns the memory, so it can be shared, checkpointed or doubled.

    Attributes:
        lr: the base learning rate. The caller decides each step's own: workers may differ, and rates be annealed.
        state_rows: how many vectors of the weights' length it keeps (Adam 2, plain SGD 0).
    """

    lr: float
    state_rows: int

    def step(self, weights: Tensor, gradient: Tensor, state: Tensor, updates: int, lr: float) -> None:
        """Apply one gradient.

        Args:
            weights: ``[P]`` float32, changed in place.
            gradient: ``[P]``, left as it is.
            state: ``[state_rows, P]``, changed in place; all zeros before the first update.
            updates: how many updates came before this one (for bias corrections).
            lr: the learning rate of this step.
        """
