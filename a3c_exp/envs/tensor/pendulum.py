"""Pendulum-v1 in tensors: a pendulum whose motor is too weak to lift it at once."""

import math
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.envs.tensor.base import Step, TensorEnv

_SECONDS = 0.05
_GRAVITY = 15.0
"""3 g / (2 l) for g = 10 m/s² and l = 1 m."""
_MOTOR = 3.0
"""3 / (m l²) for m = 1 kg."""
_MAX_SPEED = 8.0
_MAX_TORQUE = 2.0


class Pendulum(TensorEnv):
    """gymnasium's ``PendulumEnv``, in the order of its operations, so that every rounding is the same.

    The state is ``[angle, angular velocity]`` in rad and rad/s, 0 upright; it never terminates. As in gymnasium, what the
    torque contributes is computed in the action's float32.
    """

    state_size = 2
    reset_noise = 2
    max_episode_steps = 200
    render_env_id = "Pendulum-v1"

    def __init__(self) -> None:
        high = np.array([1.0, 1.0, _MAX_SPEED], np.float32)
        self.observation_space = Box(-high, high)
        self.action_space = Box(-_MAX_TORQUE, _MAX_TORQUE, (1,), np.float32)

    def reset(self, noise: Tensor) -> Tensor:
        angle, speed = noise.unbind(-1)
        return torch.stack([angle * (2 * math.pi) - math.pi, speed * 2.0 - 1.0], dim=-1)

    def observe(self, state: Tensor) -> Tensor:
        angle, speed = state.unbind(-1)
        return torch.stack([angle.cos(), angle.sin(), speed], dim=-1).to(torch.float32)

    def step(self, state: Tensor, action: Tensor) -> Step:
        angle, speed = state.unbind(-1)
        torque = self.clip(action).squeeze(-1)
        from_top = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
        cost = from_top**2 + 0.1 * speed**2 + 0.001 * torque**2
        speed = (speed + (_GRAVITY * angle.sin() + _MOTOR * torque) * _SECONDS).clamp(-_MAX_SPEED, _MAX_SPEED)
        angle = angle + speed * _SECONDS
        return Step(torch.stack([angle, speed], dim=-1), -cost, torch.zeros_like(cost, dtype=torch.bool))

    def set_state(self, render_env: Any, state: NDArray[np.float64], action: NDArray[Any] | None) -> None:
        super().set_state(render_env, state, action)
        render_env.last_u = None if action is None else float(np.clip(action[0], -_MAX_TORQUE, _MAX_TORQUE))
