"""An optimizer: Lion, which steps by the sign of a momentum, on one flat vector."""

import torch
from torch import Tensor

from a3c_exp.system.errors import ConfigError


class Lion:
    """``c = b1 m + (1 - b1) g``, ``w = w - lr (sign(c) + decay w)``, ``m = b2 m + (1 - b2) g``.

    Chen et al. 2023 (arXiv:2302.06675), Algorithm 2. Every weight moves by ``lr`` whatever the gradient's size, so learning
    rates are 3 to 10 times smaller than Adam's, as the paper says.

    Row of the optimizer state: the momentum.

    Args:
        lr: base learning rate.
        betas: b1, b2.
        weight_decay: decoupled, multiplied by the learning rate.

    Raises:
        ConfigError: a value is out of its range.
    """

    state_rows = 1

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0) -> None:
        if not lr > 0:
            raise ConfigError(f"optimizer.lr is {lr}, but it must be above 0. Try optimizer.lr=1e-3")
        if not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"optimizer.betas is {list(betas)}, but each must be in [0, 1). Try 'optimizer.betas=[0.9,0.99]'")
        if not weight_decay >= 0:
            raise ConfigError(f"optimizer.weight_decay is {weight_decay}, but must be at least 0. Try optimizer.weight_decay=0")
        self.lr = lr
        self.beta1, self.beta2 = betas
        self.weight_decay = weight_decay

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        momentum = optimizer_state[0]
        direction = torch.lerp(gradient, momentum, self.beta1).sign_()
        if self.weight_decay:
            direction.add_(weights, alpha=self.weight_decay)
        # Each element of shared memory is written once, with its final value: other processes may be reading it.
        momentum.lerp_(gradient, 1 - self.beta2)
        weights.add_(direction, alpha=-lr)
