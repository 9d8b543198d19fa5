"""A task whose spaces are arguments; importing this module registers it as ``RandomSpaces-v0``."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple


def space_of(description: Any) -> Space[Any]:
    """The space that a list such as ``["box", [2], -1.0, "inf", "float32"]`` describes; those of a Dict or Tuple follow it."""
    match list(description):
        case ["box", shape, low, high, dtype]:
            return Box(float(low), float(high), tuple(shape), getattr(np, dtype))
        case ["discrete", n, start]:
            return Discrete(n, start=start)
        case ["binary", *shape]:
            return MultiBinary(shape)
        case ["multidiscrete", *sizes]:
            return MultiDiscrete(sizes)
        case ["tuple", *parts]:
            return Tuple([space_of(part) for part in parts])
        case ["dict", *parts]:
            return Dict({f"part {number}": space_of(part) for number, part in enumerate(parts)})
        case other:
            raise ValueError(other)


class RandomSpaces(gymnasium.Env[Any, Any]):
    """Observes samples of its space, for so many steps, and refuses an action that is not in its other space."""

    def __init__(self, observed: Any, acted: Any, length: int = 7, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = space_of(observed), space_of(acted)
        self.length, self.render_mode = length, render_mode
        self._time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._time = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self._time += 1
        return self.observation_space.sample(), 1.0, self._time == self.length, False, {}


gymnasium.register("RandomSpaces-v0", entry_point=RandomSpaces, max_episode_steps=50)
