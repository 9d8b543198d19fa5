"""Shared RMSprop, the A3C paper's optimizer, on one flat vector."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.optimizers.base import Decay, LearningRate


class RMSprop:
    """``g = alpha g + (1 - alpha) d^2``, ``w = w - lr d / sqrt(g + eps)``; g is shared by all workers.

    Mnih et al. 2016 (arXiv:1602.01783), section 4, "Shared RMSProp", with eps inside the root as printed there (and as in
    TensorFlow's); ``torch.optim.RMSprop`` has ``sqrt(g) + eps``. The two differ much for an eps as large as A3C's. With
    momentum ``v = momentum v + d / sqrt(g + eps)``, ``w = w - lr v``, as in torch: the rate stands outside v, so annealing it
    also slows the current velocity.

    The row of g holds what gradients added to it. The rest of its initial value after t updates is ``initial_square *
    alpha^t``, which follows from t, so state starts as zeros for any initial value.

    State rows: the mean square of gradients, then the velocity if there is momentum.

    Args:
        lr: base learning rate. The paper draws it log-uniformly from 1e-4..1e-2.
        alpha: the share of g that each update keeps; .99 in the paper.
        eps: keeps the division finite; large values make small gradients take small steps. The paper does not give it: .1 is
            V. Mnih's answer to the author of https://github.com/muupan/async-rl (its wiki, with an lr of 7e-4).
        momentum: of the velocity; 0 for none.
        eps_inside_sqrt: ``False`` is torch's way.
        initial_square: g before the first update: torch's is 0, TensorFlow's 1 (gentler first steps).
    """

    elementwise = True

    def __init__(
        self,
        lr: LearningRate,
        alpha: Decay = 0.99,
        eps: Annotated[float, Gt(0)] = 0.1,
        momentum: Decay = 0.0,
        eps_inside_sqrt: bool = True,
        initial_square: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        self.lr, self.alpha, self.eps, self.momentum = lr, alpha, eps, momentum
        self.eps_inside_sqrt, self.initial_square = eps_inside_sqrt, initial_square
        self.state_rows = 2 if momentum else 1
        self._scratch = torch.empty(0)

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        square = optimizer_state[0]
        rest = self.initial_square * self.alpha ** (updates + 1)
        # Reused between steps: fresh memory for millions of weights costs page faults at every push.
        if self._scratch.shape != weights.shape or self._scratch.device != weights.device:
            self._scratch = torch.empty_like(weights)
        scratch = self._scratch
        torch.mul(gradient, gradient, out=scratch)
        # Shared memory is written once an element, with its final value: a decay first and a sum afterwards would show
        # other lock-free workers a square without this gradient, and leave it so where the process is killed in between.
        square.lerp_(scratch, 1.0 - self.alpha)
        if self.eps_inside_sqrt:
            torch.add(square, rest + self.eps, out=scratch).sqrt_()
        elif rest:
            torch.add(square, rest, out=scratch).sqrt_().add_(self.eps)
        else:
            torch.sqrt(square, out=scratch).add_(self.eps)
        if self.momentum:
            velocity = optimizer_state[1]
            torch.div(gradient, scratch, out=scratch)
            torch.add(scratch, velocity, alpha=self.momentum, out=velocity)
            weights.add_(velocity, alpha=-lr)
        else:
            weights.addcdiv_(gradient, scratch, value=-lr)

    def coefficients(self, updates: NDArray[np.int64], lr: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([lr, self.initial_square * self.alpha ** (updates + 1.0)])

    def functional_step(
        self, weights: Tensor, gradient: Tensor, optimizer_state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        rate, rest = coefficients.unbind()
        square = optimizer_state[0] + (1.0 - self.alpha) * (gradient * gradient - optimizer_state[0])
        mean = square + rest
        root = (mean + self.eps).sqrt() if self.eps_inside_sqrt else mean.sqrt() + self.eps
        if not self.momentum:
            return weights - rate * gradient / root, (square,)
        velocity = gradient / root + self.momentum * optimizer_state[1]
        return weights - rate * velocity, (square, velocity)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scratch": torch.empty(0)}  # each process writes to its own
