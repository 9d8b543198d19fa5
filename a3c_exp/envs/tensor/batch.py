"""K copies of an environment written in tensors, in one process, as the rollout takes them."""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from a3c_exp.compile.numpy_executor import NumpyExecutor
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.gymnasium import ACTION_NAMES, SPEED_IN_STATE
from a3c_exp.envs.tensor.base import TensorEnv
from a3c_exp.system.errors import ConfigError, first_line


class TensorEnvBatch(EnvBatch):
    """K copies of one environment, stepped all at once in float64.

    An episode begins where gymnasium's ``reset(seed=seed)`` would, if the environment's ``reset`` uses its noise in the same
    way. Pictures are drawn by the gymnasium environment that ``render_env_id`` names, set to the same state. A ConfigError says
    that functions of the environment are not valid, or that it should be rendered and cannot.

    Args:
        environment: shared, since it has no memory.
        num_envs: K.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.
    """

    def __init__(self, environment: TensorEnv, num_envs: int = 1, render_mode: str | None = None) -> None:
        _check_tensor_env(environment)
        self.tensor_env: TensorEnv = environment
        self.num_envs = num_envs
        self.default_max_episode_steps = environment.max_episode_steps
        self.observation_space: Space[Any] = environment.observation_space
        self.action_space: Space[Any] = environment.action_space
        self._render_env = None if render_mode is None else _make_render_env(environment, render_mode)
        self._human_window = render_mode == "human"
        self.action_names = ACTION_NAMES.get(environment.render_env_id or "")
        if self._render_env is not None:
            self.frames_per_second = float(self._render_env.metadata.get("render_fps", 30))

        def step(state: Tensor, action: Tensor) -> tuple[Tensor, ...]:
            stepped = environment.step(state, action)
            return stepped.state, environment.observe(stepped.state), stepped.reward, stepped.terminated

        def reset(noise: Tensor) -> tuple[Tensor, ...]:
            state = environment.reset(noise)
            return state, environment.observe(state)

        self._step = NumpyExecutor(step, environment.example_inputs((num_envs,)))
        self._reset = NumpyExecutor(reset, (torch.full((1, environment.reset_noise), 0.5, dtype=torch.float64),))
        # The executor's own memory, which the next step reads.
        self.env_state: NDArray[np.float64] = self._step.inputs[0]
        self._action = self._step.inputs[1]
        self._has_acted = np.zeros(num_envs, np.bool_)
        self.observation = np.zeros(self._step.outputs[1].shape, np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        arrays: list[NDArray[Any]] = [self.env_state, self.observation, self.reward, self.terminated]
        pairs = zip(arrays, self._step.outputs, strict=True)
        self._output_copies = [(array, new, (num_envs, *(1,) * (array.ndim - 1))) for array, new in pairs]

    def reset(self, index: int, seed: int) -> None:
        self.begin(index, self.tensor_env.draw_noise(seed))

    def begin(self, index: int, noise: NDArray[np.float64]) -> None:
        """Begin a new episode in one environment where ``noise [reset_noise]`` says."""
        self._reset.inputs[0][0] = noise
        self._reset.run()
        self.env_state[index] = self._reset.outputs[0][0]
        self.observation[index] = self._reset.outputs[1][0]
        self._has_acted[index] = False
        if self._human_window and index == 0:
            self._draw(0)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        np.copyto(self._action, action.reshape(self._action.shape), "same_kind")
        self._step.run()
        ended = self._step.outputs[3]
        if active.all():
            for array, new, _ in self._output_copies:
                np.copyto(array, new)
            endings = np.count_nonzero(ended)
        else:
            for array, new, shape in self._output_copies:
                np.copyto(array, new, where=active.reshape(shape))
            endings = np.count_nonzero(ended & active)
        if self._render_env is not None:
            self._has_acted |= active
            if self._human_window and active[0]:
                self._draw(0)
        return bool(endings)

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""
        return self.picture(0)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The same of any environment."""
        picture = self._draw(index)
        assert picture is not None, "made without render_mode='rgb_array'"
        return picture

    def _draw(self, index: int) -> NDArray[np.uint8] | None:
        if self._render_env is None:
            return None
        action = self._action[index] if self._has_acted[index] else None
        self.tensor_env.set_state(self._render_env, self.env_state[index].copy(), action)
        picture: NDArray[np.uint8] | None = self._render_env.render()  # None where it is a window
        return picture

    def info(self) -> dict[str, float]:
        """The first environment's speed, if it is one of those in ``SPEED_IN_STATE``."""
        return {"speed": abs(float(self.env_state[0, 1]))} if self.tensor_env.render_env_id in SPEED_IN_STATE else {}

    def close(self) -> None:
        if self._render_env is not None:
            self._render_env.close()


def _make_render_env(env: TensorEnv, render_mode: str) -> Any:
    if env.render_env_id is None:
        name = type(env).__name__
        raise ConfigError(
            f"{name} names no gymnasium environment that draws it (render_env_id), so there is no picture of it. Name one"
        )
    return gymnasium.make(env.render_env_id, render_mode=render_mode, disable_env_checker=True).unwrapped


def _check_tensor_env(env: TensorEnv) -> None:
    """Check shapes, and that the functions give the same for one state as for many, without branches on values."""
    name = type(env).__name__
    if isinstance(env.action_space, Discrete) and env.action_space.start != 0:
        start = env.action_space.start
        raise ConfigError(
            f"{name} has actions from {start} on, but actions of an environment in tensors count from 0. "
            "Give it a Discrete space without start"
        )
    noise = torch.linspace(0.1, 0.9, 3 * env.reset_noise, dtype=torch.float64).view(3, env.reset_noise)
    _, action = env.example_inputs((3,))
    try:
        with torch.no_grad():
            state = env.reset(noise)
            batched = state, env.observe(state), *env.step(state, action)
            single_states = vmap(env.reset)(noise), vmap(env.observe)(state), *vmap(env.step)(state, action)
    except RuntimeError as error:  # what vmap has to say of a branch on values, of randomness, of writing in place
        first = first_line(error)
        raise ConfigError(
            f"{name} is no pure function of tensors, without control flow on values and random operations: {first}. "
            "Use torch.where, and the noise that reset is given"
        ) from error
    expected = {
        "reset": ((3, env.state_size), torch.float64),
        "observe": ((3, *env.observation_space.shape), torch.float32),
        "step's state": ((3, env.state_size), torch.float64),
        "step's reward": ((3,), torch.float64),
        "step's terminated": ((3,), torch.bool),
    }
    for (what, (shape, dtype)), got, single in zip(expected.items(), batched, single_states, strict=True):
        if got.shape != shape or got.dtype != dtype:
            raise ConfigError(
                f"{name}: {what} is {list(got.shape)} of {got.dtype} for three states in torch.float64, "
                f"but it must be {list(shape)} of {dtype}. "
                "Return it so"
            )
        if single.shape != shape or not torch.allclose(got.double(), single.double(), equal_nan=True):
            raise ConfigError(
                f"{name}: {what} of three states is not that of each of them alone. "
                "Use operations that treat each row by itself"
            )
