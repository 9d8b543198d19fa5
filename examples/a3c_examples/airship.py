"""An environment: an airship that holds its place over a mast in gusty wind, K of them in numpy arrays."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.system.errors import ConfigError

_REACH = 2.0  # metres from the mast at which the ship counts as lost; also its top speed in metres a second
_SECONDS = 0.1  # that one step lasts
_CALM = 0.95  # of the wind that is still there a step later
_BLOCK = 64  # gusts drawn at once: asking a generator costs more than the numbers


class Airships(EnvBatch):
    """``speed += .1 (thrust + wind)``, ``position += .1 speed``, and the wind wanders (an AR(1) process around 0).

    The engine gives as much as [-1, 1]; more is asked in vain. A step pays ``max(0, 1 - |position|)``, so 200 steps over the
    mast are worth 200. A ship that drifts 2 m off is lost (terminated); 200 steps are the time limit.

    Observation: position, speed, wind, each in [-2, 2].

    Args:
        num_envs: K.
        gust: standard deviation of the wind, in units of the engine's full thrust.
        render_mode: ``rgb_array`` or ``None``; it has no window.

    Raises:
        ConfigError: a gust below 0, or a window was asked for.
    """

    default_max_episode_steps: int | None = 200

    def __init__(self, num_envs: int = 1, gust: float = 0.5, render_mode: str | None = None) -> None:
        if not 0 <= gust < np.inf:
            raise ConfigError(f"env.gust is {gust}, but it is at least 0. Try env.gust=0.5")
        if render_mode == "human":
            raise ConfigError("airships draw no window. Try --video")
        self.num_envs = num_envs
        self.observation_space: Space[Any] = Box(-_REACH, _REACH, (3,), np.float32)
        self.action_space: Space[Any] = Box(-1.0, 1.0, (1,), np.float32)
        self.observation = np.zeros((num_envs, 3), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._gust = gust * (1 - _CALM**2) ** 0.5
        self._state = np.zeros((num_envs, 3))  # the rollout may write into `observation`; what counts is kept here
        self._random = [np.random.default_rng(0) for _ in range(num_envs)]
        self._noise = np.zeros((num_envs, _BLOCK))
        self._age = np.zeros(num_envs, np.int64)

    def reset(self, index: int, seed: int) -> None:
        # All luck of an episode comes from its seed: who replays the seed and the actions must see the same, bit for bit.
        self._random[index] = np.random.default_rng(seed)
        self._state[index] = self._random[index].uniform(-0.5, 0.5, 3)
        self._age[index] = 0
        self.observation[index] = self._state[index]

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        thrust = np.clip(action.reshape(self.num_envs), -1.0, 1.0)
        position, speed, wind = self._state.T
        speed = speed + _SECONDS * (thrust + wind)
        position = position + _SECONDS * speed
        wind = _CALM * wind + self._gust * self._draw(active)
        after = np.clip(np.stack([position, speed, wind], axis=1), -_REACH, _REACH)
        self._state[active] = self.observation[active] = after[active]
        self.reward[active] = np.maximum(0.0, 1.0 - np.abs(position[active]))
        self.terminated[active] = np.abs(position[active]) >= _REACH
        return bool(self.terminated[active].any())

    def _draw(self, active: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``[K]`` the next number of each live ship's own stream."""
        column = self._age % _BLOCK
        for k in (active & (column == 0)).nonzero()[0].tolist():
            self._noise[k] = self._random[k].standard_normal(_BLOCK)
        self._age += active
        return self._noise[np.arange(self.num_envs), column]

    def render(self) -> NDArray[np.uint8]:
        picture = np.full((64, 256, 3), (160, 200, 240), np.uint8)
        position, _, wind = self._state[0]
        picture[40:, 127:129] = (90, 60, 30)  # the mast
        centre = int(128 + 55 * position)
        picture[24:36, max(0, centre - 12) : centre + 12] = (180, 30, 30)  # the ship
        tip = int(128 + 55 * wind)
        picture[6:8, min(128, tip) : max(128, tip)] = (255, 255, 255)  # where the wind blows to, and how strongly
        return picture

    def close(self) -> None:
        pass
