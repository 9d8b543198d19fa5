"""EnvPool's CarRacing behind the same few methods as our own: another renderer, for training only.

Its pictures have the same scale and colors, but hard edges; its tracks are its own; a seed gives the same episode every time
(Weng et al. 2022, "EnvPool: A Highly Parallel Reinforcement Learning Environment Execution Engine").
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.system.extras import import_extra

_NO_LIMIT = 2**30  # frames; the rollout keeps the time limit


class EnvPoolGame:
    """One game, if envpool is installed. A new pool of one is made for each episode, a matter of milliseconds, because seeds
    are a pool's. Its ``tile_visited_count`` is of frames at which a new tile was reached, a little less than the number of
    tiles."""

    def __init__(self) -> None:
        self._make = import_extra("env.backend=envpool", "envpool").make
        self._pool: Any = None
        self._pixels = np.zeros((96, 96, 4), np.uint8)
        self.tile_visited_count = 0

    def reset(self, *, seed: int) -> None:
        """Begin the episode of ``seed``."""
        # EnvPool's seeds have 31 bits; mixed, so that neighboring large seeds differ.
        pool_seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
        self._pool = self._make(
            "CarRacing-v3", env_type="gymnasium", num_envs=1, num_threads=1, seed=pool_seed, max_episode_steps=_NO_LIMIT
        )
        self.tile_visited_count = 0
        self._pixels[..., :3] = self._pool.reset()[0][0]

    def advance(self, steering: float, gas: float, brake: float) -> tuple[float, bool, dict[str, Any]]:
        """One frame: reward, whether the episode terminated, and an empty info."""
        observed, reward, terminated, _, _ = self._pool.step(np.array([[steering, gas, brake]], np.float32))
        self._pixels[..., :3] = observed[0]
        self.tile_visited_count += bool(reward[0] > 0)
        return float(reward[0]), bool(terminated[0]), {}

    def state_pixels(self) -> NDArray[np.uint8]:
        """``[96, 96, 4]``: RGB and a byte without meaning."""
        return self._pixels

    def close(self) -> None:
        self._pool = None
