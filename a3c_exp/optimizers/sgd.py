"""Stochastic gradient descent with optional momentum on one flat vector."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.optimizers.base import Decay, LearningRate


class SGD:
    """``v = momentum v + g``, ``w = w - lr v``; equal to ``torch.optim.SGD`` without dampening, Nesterov or weight decay.

    A steady gradient moves weights by ``lr / (1 - momentum)`` of it a step. The velocity is shared: it holds the latest
    gradients of all workers. It is the one row of state, and with ``momentum=0`` there is none.
    """

    elementwise = True

    def __init__(self, lr: LearningRate, momentum: Decay = 0.0) -> None:
        self.lr = lr
        self.momentum = momentum
        self.state_rows = 1 if momentum else 0

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        if self.momentum:
            velocity = optimizer_state[0]
            # One pass: a velocity that was decayed but not yet added to must never lie in shared memory.
            torch.add(gradient, velocity, alpha=self.momentum, out=velocity)
            gradient = velocity
        weights.add_(gradient, alpha=-lr)

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        return lr[np.newaxis]

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        (rate,) = coefficients.unbind()
        if not self.momentum:
            return weights - rate * gradient, optimizer_state
        velocity = gradient + self.momentum * optimizer_state[0]
        return weights - rate * velocity, (velocity,)
