"""Acrobot-v1 in tensors: two links hang from a bar, and a motor between them has to swing their end above it."""

import math

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from a3c_exp.envs.tensor.base import Step, TensorEnv

_SECONDS = 0.2
_GRAVITY = 9.8
_MAX_SPEEDS = (4 * math.pi, 9 * math.pi)
_START = 0.1
_MOST_TURNS = 5  # within a step, and one to spare


class Acrobot(TensorEnv):
    """gymnasium's ``AcrobotEnv`` (Sutton 1996, with the dynamics of Sutton and Barto's book), in the order of its operations,
    so that every rounding is the same.

    The state is ``[angle, angle of the second link to the first, their angular velocities]`` in rad and rad/s, 0 hanging down.
    Links are 1 m long and weigh 1 kg; a step is one of Runge and Kutta's fourth order. It pays -1, and 0 where it terminates:
    with the end 1 m above the bar.
    """

    state_size = 4
    reset_noise = 4
    max_episode_steps = 500
    render_env_id = "Acrobot-v1"

    def __init__(self) -> None:
        high = np.array([1.0, 1.0, 1.0, 1.0, *_MAX_SPEEDS], np.float32)
        self.observation_space = Box(-high, high)
        self.action_space = Discrete(3)

    def reset(self, noise: Tensor) -> Tensor:
        return (noise * (2 * _START) - _START).to(torch.float32).to(noise.dtype)  # as gymnasium keeps it

    def observe(self, state: Tensor) -> Tensor:
        # gymnasium's first state of an episode is in single precision, and so are its cosines; later ones are not.
        short = state.to(torch.float32)
        is_short = (short.to(state.dtype) == state)[..., :2]
        is_short = is_short[..., 0] & is_short[..., 1]
        angle, bend, *speeds = short.unbind(-1)
        numbers = [
            torch.where(is_short, of(part), of(whole).to(torch.float32))
            for part, whole in ((angle, state[..., 0]), (bend, state[..., 1]))
            for of in (torch.cos, torch.sin)
        ]
        return torch.stack([*numbers, *speeds], dim=-1)

    def step(self, state: Tensor, action: Tensor) -> Step:
        torque = action.to(state.dtype) - 1.0
        k1 = _derivative(state, torque)
        k2 = _derivative(state + _SECONDS / 2 * k1, torque)
        k3 = _derivative(state + _SECONDS / 2 * k2, torque)
        k4 = _derivative(state + _SECONDS * k3, torque)
        following = state + _SECONDS / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
        angle, bend = _wrap(following[..., :2]).unbind(-1)
        speed, bend_speed = following[..., 2:].unbind(-1)
        speed = speed.clamp(-_MAX_SPEEDS[0], _MAX_SPEEDS[0])
        bend_speed = bend_speed.clamp(-_MAX_SPEEDS[1], _MAX_SPEEDS[1])
        terminated = -angle.cos() - (bend + angle).cos() > 1.0
        reward = torch.where(terminated, torch.zeros_like(angle), -torch.ones_like(angle))
        return Step(torch.stack([angle, bend, speed, bend_speed], dim=-1), reward, terminated)


def _derivative(state: Tensor, torque: Tensor) -> Tensor:
    """``[..., 4]`` per second: eq. 3 of the Acrobot in Sutton and Barto (1998), section 11.3, with their constants."""
    angle, bend, speed, bend_speed = state.unbind(-1)
    cos, sin = bend.cos(), bend.sin()
    d1 = 0.25 + (1.25 + cos) + 1.0 + 1.0
    d2 = (0.25 + 0.5 * cos) + 1.0
    phi2 = 0.5 * _GRAVITY * (angle + bend - math.pi / 2).cos()
    phi1 = -0.5 * bend_speed**2 * sin - bend_speed * speed * sin + 1.5 * _GRAVITY * (angle - math.pi / 2).cos() + phi2
    bend_push = (torque + d2 / d1 * phi1 - 0.5 * speed**2 * sin - phi2) / (1.25 - d2**2 / d1)
    return torch.stack([speed, bend_speed, -(d2 * bend_push + phi1) / d1, bend_push], dim=-1)


def _wrap(angle: Tensor) -> Tensor:
    """Into [-pi, pi], by one turn after another as gymnasium does it, which rounds otherwise than all turns at once. A step at
    the highest speeds makes four."""
    wrapped = down = up = angle
    for _ in range(_MOST_TURNS):
        lower, higher = down - 2 * math.pi, up + 2 * math.pi
        # Asked of each turn and not of what was chosen so far, an expression that would double with every turn in a compiler.
        wrapped = torch.where(down > math.pi, lower, torch.where(up < -math.pi, higher, wrapped))
        down, up = lower, higher
    return wrapped
