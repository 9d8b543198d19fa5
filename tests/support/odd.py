"""A harmless walk of twenty steps with one fault that is asked for; importing this module registers it as ``Odd-v0``."""

import multiprocessing
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

AT_STEP = 7
"""The step at which a fault of a value comes, in every episode."""

OBSERVATIONS: dict[str, Any] = {
    "nan": np.array([0.0, np.nan, 0.0], np.float32),
    "inf": np.array([0.0, np.inf, 0.0], np.float32),
    "none": None,
    "scalar": np.float32(0.5),
    "one": np.array([0.5], np.float32),
    "row": np.zeros((1, 3), np.float32),
    "five": np.zeros(5, np.float32),
    "text": np.array(["0.1", "0.2", "0.3"]),
    "holes": np.array([None, None, None]),
    "complex": np.zeros(3, np.complex64),
}
"""Observations that are none of ``Box(-1, 1, (3,))``."""

REWARDS: dict[str, Any] = {
    "nan": float("nan"),
    "inf": np.float64("-inf"),
    "none": None,
    "text": "1.0",
    "two": np.array([1.0, 2.0]),
    "pair": (1.0, 2.0),
}
"""Rewards that are no number."""


class Odd(gymnasium.Env[Any, Any]):
    """Observes three numbers, or with ``nested`` a choice and three numbers.

    Args:
        observation: a key of ``OBSERVATIONS``.
        reward: a key of ``REWARDS``, or ``array`` or ``zero_d`` for an array of exactly one number.
        call: ``four`` values from step, ``none`` from step, a ``bare`` observation from reset, or a reset with ``no_seed``.
        seed_limit: reset raises beyond it, as numpy's old generator does.
        error: what it raises then: ``ValueError`` or ``OverflowError``.
        nested: whether the observation is a Dict.
        at_reset: whether the observation is at fault in ``reset``.
        child: whether it has a process of its own, as a simulator is, from its first episode until it is closed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium's own is no ClassVar either

    def __init__(
        self,
        observation: str | None = None,
        reward: str | None = None,
        call: str | None = None,
        seed_limit: int | None = None,
        error: str = "ValueError",
        nested: bool = False,
        at_reset: bool = False,
        child: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self._observation, self._reward, self._call, self._at_reset = observation, reward, call, at_reset
        self._seed_limit, self._error, self._nested, self.render_mode = seed_limit, error, nested, render_mode
        box = Box(-1.0, 1.0, (3,), np.float32)
        self.observation_space = Dict(box=box, choice=Discrete(2)) if nested else box
        self.action_space = Discrete(2)
        self.seeds: list[int | None] = []
        self._has_child = child
        self._child: multiprocessing.Process | None = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        if self._has_child and self._child is None:
            self._child = multiprocessing.Process(target=time.sleep, args=(300,))
            self._child.start()
        if self._call == "no_seed":
            raise TypeError("Odd.reset() got an unexpected keyword argument 'seed'")
        if seed is not None and self._seed_limit is not None and seed > self._seed_limit:
            raise {"ValueError": ValueError, "OverflowError": OverflowError}[self._error](
                f"Seed must be below {self._seed_limit}"
            )
        self.seeds.append(seed)
        return self._look() if self._call == "bare" else (self._look(), {})

    def step(self, action: Any) -> Any:
        self._steps += 1
        at_fault = self._steps == AT_STEP
        reward: Any = REWARDS[self._reward] if at_fault and self._reward in REWARDS else 1.0
        if self._reward in ("array", "zero_d"):
            reward = np.array([1.0] if self._reward == "array" else 1.0)
        ended = self._steps >= 20
        if self._call == "four":
            return self._look(), reward, ended, {}
        return None if self._call == "none" and at_fault else (self._look(), reward, ended, False, {})

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()

    def _look(self) -> Any:
        seen: NDArray[np.float32] = np.linspace(-1, 1, 3, dtype=np.float32) * min(1.0, self._steps / 20)
        if self._observation is not None and self._steps == (0 if self._at_reset else AT_STEP):
            seen = OBSERVATIONS[self._observation]
        return {"box": seen, "choice": 0} if self._nested else seen


gymnasium.register("Odd-v0", entry_point=Odd, max_episode_steps=50)
