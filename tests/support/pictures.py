"""Tasks that observe pictures and cost nothing to step; importing this module registers them: ``Pictures-v0``, in numbers with
the channels first, and ``BytePictures-v0``, the same in bytes with the channels last."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray


class Pictures(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Pays 1 for the action that says which of four places of the picture before last was bright, so that it takes a memory."""

    def __init__(self, shape: tuple[int, int, int] = (2, 20, 18), length: int = 20, render_mode: str | None = None) -> None:
        self.shape, self.length, self.render_mode = tuple(shape), length, render_mode
        self.observation_space = Box(0.0, 1.0, self.shape, np.float32)
        self.action_space = Discrete(4)
        self._places = [0, 0]
        self._time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._time = 0
        self._places = [0, 0]
        return self._picture(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        reward = float(action == self._places[-2])
        self._time += 1
        return self._picture(), reward, self._time == self.length, False, {}

    def _picture(self) -> NDArray[np.float32]:
        place = int(self.np_random.integers(4))
        self._places.append(place)
        picture = 0.2 * self.np_random.random(self.shape, dtype=np.float32)
        row, column = divmod(place, 2)
        height, width = self.shape[1] // 2, self.shape[2] // 2
        picture[:, row * height : (row + 1) * height, column * width : (column + 1) * width] += 0.7
        return picture


class BytePictures(gymnasium.ObservationWrapper[NDArray[np.uint8], np.int64, NDArray[np.float32]]):
    """The same, as most environments have it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(Pictures(**arguments))
        channels, height, width = self.env.observation_space.shape
        self.observation_space = Box(0, 255, (height, width, channels), np.uint8)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.moveaxis((255 * observation).astype(np.uint8), 0, -1)


class PictureAndNumbers(gymnasium.ObservationWrapper[dict[str, Any], np.int64, NDArray[np.uint8]]):
    """The same picture beside a vector and a choice."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(BytePictures(**{"shape": (3, 36, 40), **arguments}))
        numbers = Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = Dict(camera=self.env.observation_space, gear=Discrete(3), wheel=numbers)

    def observation(self, observation: NDArray[np.uint8]) -> dict[str, Any]:
        mean = float(observation.mean()) / 255
        return {"camera": observation, "gear": int(3 * mean), "wheel": np.array([mean, -mean], np.float32)}


class RealActions(gymnasium.ActionWrapper[Any, NDArray[np.float32], np.int64]):
    """The four choices as the signs of two numbers; what is not in its space is refused."""

    def __init__(self, env: gymnasium.Env[Any, np.int64]) -> None:
        super().__init__(env)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)

    def action(self, action: NDArray[np.float32]) -> np.int64:
        assert self.action_space.contains(action), action
        return np.int64(2 * (action[0] > 0) + (action[1] > 0))


gymnasium.register("PictureAndNumbers-v0", entry_point=PictureAndNumbers, max_episode_steps=50)
gymnasium.register("BytePictures-v0", entry_point=BytePictures, max_episode_steps=50)
gymnasium.register("Pictures-v0", entry_point=Pictures, max_episode_steps=50)
