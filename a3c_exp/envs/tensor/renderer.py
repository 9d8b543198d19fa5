"""Renders an environment written in tensors by gymnasium's own, set to the same state."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.tensor.base import TensorEnv
from a3c_exp.system.errors import ConfigError


class GymnasiumRenderer:
    """Draws one environment.

    Args:
        env: whose ``render_env_id`` names the environment that draws.
        render_mode: ``rgb_array`` or ``human``.

    Raises:
        ConfigError: nothing draws this environment.
    """

    def __init__(self, env: TensorEnv, render_mode: str) -> None:
        if env.render_env_id is None:
            raise ConfigError(
                f"{type(env).__name__} names no gymnasium environment that draws it (render_env_id), so there is no "
                "picture of it"
            )
        self._env = env
        self._render_env: Any = gymnasium.make(env.render_env_id, render_mode=render_mode, disable_env_checker=True).unwrapped

    def draw(self, state: NDArray[np.float64], action: NDArray[Any] | None) -> NDArray[np.uint8] | None:
        """``[height, width, 3]`` of ``state [state_size]``, which ``action`` led to; ``None`` where it is a window."""
        self._env.set_state(self._render_env, state.copy(), action)
        picture: NDArray[np.uint8] | None = self._render_env.render()
        return picture

    @property
    def frames_per_second(self) -> float:
        return float(self._render_env.metadata.get("render_fps", 30))

    def close(self) -> None:
        self._render_env.close()
