"""Environments that bring their process down, and others that a careless pool would get wrong."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.system.errors import ConfigError
from tests.support.scripted import ScriptedEnvironments

FATAL = 666
"""The seed of the episode in which trouble comes."""


def _raise() -> None:
    raise RuntimeError("the pole snapped")


def _refuse() -> None:
    raise ConfigError("gravity=-1, but it is above 0. Try gravity=9.8")


def _spin() -> None:
    while True:
        pass


TROUBLES: dict[str, Callable[[], Any]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit": lambda: os._exit(3),
    "quit": lambda: exit(4),
    "raise": _raise,
    "refuse": _refuse,
    "spin": _spin,
    "sleep": lambda: time.sleep(10**6),
}


class TroubledEnvironments(ScriptedEnvironments):
    """Scripted environments of which one strikes, in the episode that begins with the seed ``FATAL``.

    Args:
        num_envs: K.
        trouble: what happens.
        where: in ``init`` (if K is ``of``), ``reset``, ``step`` or ``close``.
        of: the number of environments whose process has trouble in ``init`` and ``close``; any without it.
        marker: a file that is made just before, with the process's id.
    """

    def __init__(
        self, num_envs: int = 1, trouble: str = "raise", where: str = "step", of: int | None = None, marker: Path | None = None
    ) -> None:
        super().__init__(num_envs)
        self._trouble = trouble
        self._where = where
        self._here = of in (None, num_envs)
        self._marker = marker
        if self._here:
            self._strike("init")

    def reset(self, index: int, seed: int) -> None:
        if seed == FATAL:
            self._strike("reset")
        super().reset(index, seed)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        if any(active[k] and self._seed[k] == FATAL for k in range(self.num_envs)):
            self._strike("step")
        return super().step(action, active)

    def close(self) -> None:
        if self._here:
            self._strike("close")

    def _strike(self, where: str) -> None:
        if where == self._where:
            if self._marker is not None:
                self._marker.write_text(str(os.getpid()))
            TROUBLES[self._trouble]()


class RememberingEnvironments(EnvBatch):
    """Each observes the sum of the action that it was given one step before; it keeps the arrays, not copies of them."""

    default_max_episode_steps: int | None = 7

    def __init__(self, num_envs: int = 1) -> None:
        self.num_envs = num_envs
        self.observation_space: Space[Any] = Box(-np.inf, np.inf, (1,))
        self.action_space: Space[Any] = Box(-1.0, 1.0, (2, 2))
        self.observation = np.zeros((num_envs, 1), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._last: list[Any] = [None] * num_envs

    def reset(self, index: int, seed: int) -> None:
        self._last[index] = None
        self.observation[index] = seed

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        for k in active.nonzero()[0]:
            self.observation[k] = 0.0 if self._last[k] is None else self._last[k].sum()
            self._last[k] = action[k]
        return False

    def render(self) -> NDArray[np.uint8]:
        return np.full((300, 400, 3), self.num_envs, np.uint8)

    def close(self) -> None: ...
