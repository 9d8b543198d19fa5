"""An environment in tensors whose actions are held for several of its steps."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.envs.tensor.base import Step, TensorEnv


class FrameSkip(TensorEnv):
    """``env`` with every action held for ``frame_skip`` of its steps, whose rewards are added up, or until it terminates. The
    time limit is divided by ``frame_skip``.

    A step holds so many copies of the environment's own operations, so that it can be compiled with a network.
    """

    def __init__(self, env: TensorEnv, frame_skip: int) -> None:
        self._env, self._frame_skip = env, frame_skip
        self.state_size, self.reset_noise, self.render_env_id = env.state_size, env.reset_noise, env.render_env_id
        self.observation_space, self.action_space = env.observation_space, env.action_space
        limit = env.max_episode_steps
        self.max_episode_steps = None if limit is None else limit // frame_skip

    def reset(self, noise: Tensor) -> Tensor:
        return self._env.reset(noise)

    def observe(self, state: Tensor) -> Tensor:
        return self._env.observe(state)

    def step(self, state: Tensor, action: Tensor) -> Step:
        state, reward, terminated = self._env.step(state, action)
        for _ in range(self._frame_skip - 1):
            following = self._env.step(state, action)
            state = torch.where(terminated.unsqueeze(-1), state, following.state)
            reward = torch.where(terminated, reward, reward + following.reward)
            terminated = terminated | following.terminated
        return Step(state, reward, terminated)

    def draw_noise(self, seed: int) -> NDArray[np.float64]:
        return self._env.draw_noise(seed)

    def set_state(self, render_env: Any, state: NDArray[Any], action: NDArray[Any] | None) -> None:
        self._env.set_state(render_env, state, action)
