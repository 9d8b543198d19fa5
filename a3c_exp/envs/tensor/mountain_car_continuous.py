"""MountainCarContinuous-v0 in tensors: the same car, with a pedal instead of three gears."""

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from a3c_exp.envs.tensor.base import Step
from a3c_exp.envs.tensor.mountain_car import MountainCar

_HILL = 0.0025
_MAX_SPEED = 0.07
_LEFT, _RIGHT, _GOAL = -1.2, 0.6, 0.45


class MountainCarContinuous(MountainCar):
    """gymnasium's ``Continuous_MountainCarEnv``. The state is ``[position, velocity]``; a step pays -0.1 times the square
    of the action, clipped to its bounds, and 100 where it reaches the goal. (gymnasium makes a caller who exceeds the bounds
    pay for the whole action; runs clip it for gymnasium's code.)

    gymnasium begins an episode in double precision and goes on in single precision: so does this, and every rounding is the
    same. (A start that single precision can hold, one of 500 million, is taken for a later step.)
    """

    max_episode_steps = 999
    render_env_id = "MountainCarContinuous-v0"

    def __init__(self) -> None:
        super().__init__(power=0.0015)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)

    def step(self, state: Tensor, action: Tensor) -> Step:
        position, velocity = state.unbind(-1)
        force = self.clip(action).squeeze(-1)
        short, short_velocity = position.to(torch.float32), velocity.to(torch.float32)
        at_start = short.to(state.dtype) != position
        hill = _HILL * torch.where(at_start, 3 * position, (3 * short).to(state.dtype)).cos()
        push = force * self._power - hill.to(torch.float32)
        short_velocity = (short_velocity + push).clamp(-_MAX_SPEED, _MAX_SPEED)
        short = (short + short_velocity).clamp(_LEFT, _RIGHT)
        stopped = (short == _LEFT) & (short_velocity < 0)  # a wall on the left
        velocity = torch.where(stopped, torch.zeros_like(push), short_velocity)
        short = torch.where(at_start, (position + push).to(torch.float32), short)
        following = torch.stack([short, velocity], dim=-1).to(state.dtype)
        terminated = (short >= _GOAL) & (velocity >= 0)
        reward = 100.0 * terminated.to(state.dtype) - force.to(state.dtype) ** 2 * 0.1
        return Step(following, reward, terminated)
