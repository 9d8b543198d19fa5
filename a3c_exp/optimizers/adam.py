"""Adam on one flat vector: a push is one fused kernel."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.compile.torch_backend import fused_adam
from a3c_exp.optimizers.base import Decay, LearningRate


class Adam:
    """Adam, Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1; equal to ``torch.optim.Adam`` to the last bits.

    State rows: first moment, second moment. The step count is the number of updates of the shared weights, so that it cannot
    fall out of step between processes.
    """

    state_rows = 2

    elementwise = True

    def __init__(
        self,
        lr: LearningRate,
        betas: tuple[Decay, Decay] = (0.9, 0.999),
        eps: Annotated[float, Gt(0)] = 1e-8,
        weight_decay: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        self.lr = lr
        self.beta1, self.beta2 = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        # One pass over memory, which also keeps hogwild's races short.
        first, second = optimizer_state
        options = {"lr": lr, "beta1": self.beta1, "beta2": self.beta2, "weight_decay": self.weight_decay, "eps": self.eps}
        fused_adam(weights, gradient, first, second, updates + 1, **options)

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([lr / (1.0 - self.beta1 ** (updates + 1)), np.sqrt(1.0 - self.beta2 ** (updates + 1))])

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        first, second = optimizer_state
        rate, root = coefficients.unbind()
        if self.weight_decay:
            gradient = gradient + self.weight_decay * weights
        first = first + (1.0 - self.beta1) * (gradient - first)
        second = self.beta2 * second + (1.0 - self.beta2) * gradient * gradient
        return weights - rate * first / (second.sqrt() / root + self.eps), (first, second)
