"""A task with every kind of action and observation at once; importing this module registers it as ``Nested-v0``."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

ARM = Tuple([Discrete(3, start=-1), Box(np.array([-1.0, 0.0]), np.array([3.0, np.inf]), dtype=np.float64)])


class Nested(gymnasium.Env[dict[str, Any], dict[str, Any]]):
    """Pays for one of its choices and refuses any action that is not in its space, which its own type checks do not."""

    def __init__(self, length: int = 20, render_mode: str | None = None) -> None:
        self.length = length
        self.render_mode = render_mode
        self.action_space = Dict(arm=ARM, lamps=MultiBinary((2, 2)), wheels=MultiDiscrete([3, 2], start=[5, -1]))
        self.observation_space = Dict(
            gear=Discrete(4, start=1),
            picture=Box(0, 255, (2, 3, 1), np.uint8),
            pair=Tuple([MultiBinary(2), MultiDiscrete([2, 3])]),
        )
        self._time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._time = 0
        return self.observation_space.sample(), {}

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self._time += 1
        return self.observation_space.sample(), float(action["arm"][0]), self._time == self.length, False, {}


gymnasium.register("Nested-v0", entry_point=Nested, max_episode_steps=50)
