"""Environments whose every number is known beforehand, so that a test can say what a window must hold.

The seed is the script: an episode that begins with seed s observes ``(s, t)`` after t steps and is paid ``10 s + t`` for its
t-th step (from 1), unless a test pays otherwise. When it ends by itself is told by ``ends``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch

End = tuple[int, Literal["terminated", "truncated"]]


def scripted_reward(seed: int, t: int) -> float:
    """What the t-th step of the episode with this seed is paid; t counts from 1."""
    return 10.0 * seed + t


class ScriptedEnvironments(EnvBatch):
    """K scripted environments that refuse to be stepped when they should be left alone.

    Args:
        num_envs: K.
        ends: for a seed, after which step its episode ends by itself and how; other episodes never end.
        nan_when_terminated: the observation of a terminal state is NaN, as in simulations that blow up.
        action_space: of one environment.
        pay: what the t-th step of the episode with a seed is paid.
        lives: for a seed, the steps that cost a life; ``None``: there is no such thing as a life.

    Attributes:
        actions: for each environment, every ``(seed, t, action)`` that it was stepped with.
        resets: for each environment, the seeds it was reset with.
    """

    default_max_episode_steps: int | None = None

    def __init__(
        self,
        num_envs: int = 1,
        ends: Mapping[int, End] | None = None,
        nan_when_terminated: bool = False,
        action_space: Space[Any] | None = None,
        pay: Callable[[int, int], float] = scripted_reward,
        lives: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.observation_space: Space[Any] = Box(-np.inf, np.inf, (2,))
        self.action_space: Space[Any] = action_space or Discrete(3)
        self.observation = np.zeros((num_envs, 2), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.actions: list[list[tuple[int, int, Any]]] = [[] for _ in range(num_envs)]
        self.resets: list[list[int]] = [[] for _ in range(num_envs)]
        self._ends = dict(ends or {})
        self._nan_when_terminated = nan_when_terminated
        self._pay = pay
        self._lives = lives or {}
        self.life_lost = None if lives is None else np.zeros(num_envs, np.bool_)
        self._seed = [0] * num_envs
        self._t = [0] * num_envs
        self._over = [True] * num_envs

    def reset(self, index: int, seed: int) -> None:
        self.resets[index].append(seed)
        self._seed[index], self._t[index], self._over[index] = seed, 0, False
        self.observation[index] = seed, 0

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        any_end = False
        for k in np.flatnonzero(active):
            seed = self._seed[k]
            assert not self._over[k], f"environment {k} was stepped behind the end of its episode"
            self._t[k] += 1
            self.actions[k].append((seed, self._t[k], np.copy(action[k])))
            self.observation[k] = seed, self._t[k]
            self.reward[k] = self._pay(seed, self._t[k])
            length, kind = self._ends.get(seed, (None, None))
            self.terminated[k] = self._t[k] == length and kind == "terminated"
            self.truncated[k] = self._t[k] == length and kind == "truncated"
            self._over[k] = self._t[k] == length
            any_end = any_end or self._over[k]
            if self.life_lost is not None:
                self.life_lost[k] = self._t[k] in self._lives.get(seed, ())
                any_end = any_end or bool(self.life_lost[k])
            if self._nan_when_terminated and self.terminated[k]:
                self.observation[k] = np.nan
        return any_end

    def close(self) -> None: ...
