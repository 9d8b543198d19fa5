"""CartPole-v1 in tensors: a cart on a track balances a pole."""

import math

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from a3c_exp.envs.tensor.base import Step, TensorEnv

_SECONDS = 0.02
_GRAVITY = 9.8
_FORCE = 10.0
_POLE_MASS = 0.1
_TOTAL_MASS = _POLE_MASS + 1.0
_HALF_LENGTH = 0.5
_POLE_MOMENT = _POLE_MASS * _HALF_LENGTH
_MAX_POSITION = 2.4
_MAX_ANGLE = 12 * 2 * math.pi / 360
_START = 0.05


class CartPole(TensorEnv):
    """gymnasium's ``CartPoleEnv`` with its Euler steps, in the order of its operations, so that every rounding is the same.

    Barto, Sutton and Anderson 1983, corrected by Florian 2007 (https://coneural.org/florian/papers/05_cart_pole.pdf). The state
    is ``[position, velocity, angle, angular velocity]`` in m, m/s, rad and rad/s. It terminates beyond 2.4 m or 12 degrees, and
    every step pays 1. What gymnasium calls undefined, stepping on after that, pays 1 too; gymnasium pays 0 then.
    """

    state_size = 4
    reset_noise = 4
    max_episode_steps = 500
    render_env_id = "CartPole-v1"

    def __init__(self) -> None:
        high = np.array([2 * _MAX_POSITION, np.inf, 2 * _MAX_ANGLE, np.inf], np.float32)
        self.observation_space = Box(-high, high)
        self.action_space = Discrete(2)

    def reset(self, noise: Tensor) -> Tensor:
        return noise * (2 * _START) - _START

    def observe(self, state: Tensor) -> Tensor:
        return state.to(torch.float32)

    def step(self, state: Tensor, action: Tensor) -> Step:
        x, x_speed, angle, angle_speed = state.unbind(-1)
        force = action.to(state.dtype) * (2 * _FORCE) - _FORCE
        cos, sin = angle.cos(), angle.sin()
        push = (force + _POLE_MOMENT * (angle_speed * angle_speed) * sin) / _TOTAL_MASS
        turn = (_GRAVITY * sin - cos * push) / (_HALF_LENGTH * (4.0 / 3.0 - _POLE_MASS * (cos * cos) / _TOTAL_MASS))
        pull = push - _POLE_MOMENT * turn * cos / _TOTAL_MASS
        x, x_speed = x + _SECONDS * x_speed, x_speed + _SECONDS * pull
        angle, angle_speed = angle + _SECONDS * angle_speed, angle_speed + _SECONDS * turn
        terminated = (x < -_MAX_POSITION) | (x > _MAX_POSITION) | (angle < -_MAX_ANGLE) | (angle > _MAX_ANGLE)
        return Step(torch.stack([x, x_speed, angle, angle_speed], dim=-1), torch.ones_like(x), terminated)
