"""MountainCar-v0 in tensors: a car that is too weak for the hill has to swing itself up."""

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from a3c_exp.envs.tensor.base import Step, TensorEnv


class MountainCar(TensorEnv):
    """gymnasium's ``MountainCarEnv`` (Moore 1990). The state is ``[position, velocity]``; the reward is -1 per step.

    Args:
        power: what the engine adds to the velocity per step; the hill takes up to 0.0025.
    """

    state_size = 2
    reset_noise = 1
    max_episode_steps = 200
    render_env_id = "MountainCar-v0"

    def __init__(self, power: float = 0.001) -> None:
        self.observation_space = Box(np.array([-1.2, -0.07], np.float32), np.array([0.6, 0.07], np.float32))
        self.action_space = Discrete(3)
        self._power = power

    def reset(self, noise: Tensor) -> Tensor:
        position = noise[..., 0] * (-0.4 - -0.6) - 0.6
        return torch.stack([position, torch.zeros_like(position)], dim=-1)

    def observe(self, state: Tensor) -> Tensor:
        return state.to(torch.float32)

    def step(self, state: Tensor, action: Tensor) -> Step:
        position, velocity = state.unbind(-1)
        push = (action.to(state.dtype) - 1.0) * self._power
        velocity = (velocity + (push + torch.cos(3 * position) * -0.0025)).clamp(-0.07, 0.07)
        position = (position + velocity).clamp(-1.2, 0.6)
        velocity = torch.where((position == -1.2) & (velocity < 0), torch.zeros_like(velocity), velocity)  # a wall on the left
        terminated = (position >= 0.5) & (velocity >= 0)
        return Step(torch.stack([position, velocity], dim=-1), -torch.ones_like(position), terminated)
