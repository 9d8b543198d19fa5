"""An environment: K airships that hover over a mast in gusty wind, in numpy arrays."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.system.errors import ConfigError

_REACH = 2.0  # meters from the mast at which an airship is lost; also its top speed in meters per second
_SECONDS = 0.1  # per step
_PERSISTENCE = 0.95  # share of the wind that remains after a step
_BLOCK_SIZE = 64  # gusts drawn at once: a call of the generator costs more than the numbers


class Airships(EnvBatch):
    """``speed += .1 (thrust + wind)``, ``position += .1 speed``, and the wind is an AR(1) process around 0.

    Thrust is clipped to [-1, 1]. The reward is ``max(0, 1 - |position|)``, so 200 steps over the mast return 200. An
    airship that drifts 2 m off is lost (terminated); 200 steps are the time limit.

    Observation: position, speed, wind, each in [-2, 2].

    Args:
        num_envs: K.
        gust: standard deviation of the wind, in units of the engine's full thrust.
        render_mode: ``rgb_array`` or ``None``; there is no window.

    Raises:
        ConfigError: a gust below 0, or ``render_mode="human"``.
    """

    default_max_episode_steps: int | None = 200

    def __init__(self, num_envs: int = 1, gust: float = 0.5, render_mode: str | None = None) -> None:
        if not 0 <= gust < np.inf:
            raise ConfigError(f"env.gust is {gust}, but it must be at least 0. Try env.gust=0.5")
        if render_mode == "human":
            raise ConfigError("airships have no window to render to. Try --video")
        self.num_envs = num_envs
        self.observation_space: Space[Any] = Box(-_REACH, _REACH, (3,), np.float32)
        self.action_space: Space[Any] = Box(-1.0, 1.0, (1,), np.float32)
        self.observation = np.zeros((num_envs, 3), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._gust = gust * (1 - _PERSISTENCE**2) ** 0.5
        self._state = np.zeros((num_envs, 3))  # kept apart from `observation`, into which the rollout may write
        self._random = [np.random.default_rng(0) for _ in range(num_envs)]
        self._noise = np.zeros((num_envs, _BLOCK_SIZE))
        self._age = np.zeros(num_envs, np.int64)

    def reset(self, index: int, seed: int) -> None:
        # All random numbers of an episode come from its seed, so that replaying its actions repeats it bit for bit.
        self._random[index] = np.random.default_rng(seed)
        self._state[index] = self._random[index].uniform(-0.5, 0.5, 3)
        self._age[index] = 0
        self.observation[index] = self._state[index]

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        thrust = np.clip(action.reshape(self.num_envs), -1.0, 1.0)
        position, speed, wind = self._state.T
        speed = speed + _SECONDS * (thrust + wind)
        position = position + _SECONDS * speed
        wind = _PERSISTENCE * wind + self._gust * self._draw(active)
        next_state = np.clip(np.stack([position, speed, wind], axis=1), -_REACH, _REACH)
        self._state[active] = self.observation[active] = next_state[active]
        self.reward[active] = np.maximum(0.0, 1.0 - np.abs(position[active]))
        self.terminated[active] = np.abs(position[active]) >= _REACH
        return bool(self.terminated[active].any())

    def _draw(self, active: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``[K]``: the next random number of each active airship."""
        column = self._age % _BLOCK_SIZE
        for k in (active & (column == 0)).nonzero()[0].tolist():
            self._noise[k] = self._random[k].standard_normal(_BLOCK_SIZE)
        self._age += active
        return self._noise[np.arange(self.num_envs), column]

    def render(self) -> NDArray[np.uint8]:
        image = np.full((64, 256, 3), (160, 200, 240), np.uint8)
        position, _, wind = self._state[0]
        image[40:, 127:129] = (90, 60, 30)  # the mast
        center = int(128 + 55 * position)
        image[24:36, max(0, center - 12) : center + 12] = (180, 30, 30)  # the airship
        tip = int(128 + 55 * wind)
        image[6:8, min(128, tip) : max(128, tip)] = (255, 255, 255)  # direction and strength of the wind
        return image

    def close(self) -> None:
        pass
