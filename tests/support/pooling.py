"""Pools of environment processes for tests, none of which may be left behind."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from tests.support.driving import alive
from tests.support.pushing import SLACK
from tests.support.scripted import ScriptedEnvironments
from tests.support.troubled import RememberingEnvironments

ROOT = Path(__file__).parents[2]
K = 5
ENDS = {seed: (1 + seed % 7, "terminated" if seed % 2 else "truncated") for seed in range(0, 300, 3)}
MAKERS: dict[str, Callable[..., EnvBatch]] = {
    "scripted": partial(ScriptedEnvironments, ends=ENDS, nan_when_terminated=True),
    "CartPole": partial(GymnasiumEnvs, "CartPole-v1"),
    "Pendulum": partial(GymnasiumEnvs, "Pendulum-v1"),
    "lives": partial(ScriptedEnvironments, ends=ENDS, lives=dict.fromkeys(range(300), (2, 5))),
    "pictures of bytes": partial(GymnasiumEnvs, "tests.support.pictures:BytePictures-v0"),
    "remembering": RememberingEnvironments,
}


def gone(pids: set[int]) -> None:
    """Wait for the end of processes, which must come by itself."""
    deadline = time.monotonic() + SLACK
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes live on"


def of_pool() -> list[int]:
    """The ids of environment processes, in the order of their environments."""
    processes = [process for process in multiprocessing.active_children() if process.name.startswith("environments-")]
    return [process.pid or 0 for process in sorted(processes, key=lambda process: process.name)]


def some_action(envs: EnvBatch, generator: np.random.Generator) -> NDArray[Any]:
    """``[K, ...]`` as a policy samples it, beyond the bounds too."""
    if isinstance(envs.action_space, Discrete):
        return generator.integers(envs.action_space.n, size=envs.num_envs)
    assert isinstance(envs.action_space, Box)
    return generator.normal(0.0, 2.0, (envs.num_envs, *envs.action_space.shape)).astype(np.float32)


def played(envs: EnvBatch, seed: int, steps: int = 150) -> list[bytes]:
    """All that is to be seen while environments are played as the rollout plays them, with random masks and early resets."""
    generator = np.random.default_rng(seed)
    in_episode = np.zeros(envs.num_envs, np.bool_)
    seen = []

    def look(any_end: bool) -> None:
        lives = () if envs.life_lost is None else (envs.life_lost,)
        arrays = (envs.observation, envs.reward, envs.terminated, envs.truncated, *lives)
        seen.append(b"".join(array.tobytes() for array in arrays) + bytes([any_end]))

    for _ in range(steps):
        for k in range(envs.num_envs):
            if generator.random() < (0.02 if in_episode[k] else 0.6):
                envs.reset(k, int(generator.integers(300)))
                in_episode[k] = True
        look(False)
        live = in_episode & (generator.random(envs.num_envs) < 0.7)
        any_end = envs.step(some_action(envs, generator), live)
        look(any_end)
        ends = live & (envs.terminated | envs.truncated)
        assert any_end == (ends.any() or (envs.life_lost is not None and bool((live & envs.life_lost).any())))
        if any_end:
            in_episode &= ~ends
            envs.observation[ends] = 0.0
            envs.terminated[:] = False
            envs.truncated[:] = False
    return seen
