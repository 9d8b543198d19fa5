"""Actions that are held for several steps of a gymnasium environment."""

from collections.abc import Callable
from typing import Any

import gymnasium

from a3c_exp.system.errors import ConfigError


class FrameSkip(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every action is held for ``frame_skip`` steps, whose rewards are added up, or until the episode ends; ``on_frame`` is
    called after each of them."""

    def __init__(self, env: gymnasium.Env[Any, Any], frame_skip: int, on_frame: Callable[[], None] | None = None) -> None:
        super().__init__(env)
        self.frame_skip, self._on_frame = frame_skip, on_frame

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        total: Any
        observation, total, terminated, truncated, info = self._frame(action)
        for _ in range(self.frame_skip - 1):
            if terminated or truncated:
                break
            observation, reward, terminated, truncated, info = self._frame(action)
            total = total + reward
        return observation, total, terminated, truncated, info

    def _frame(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        stepped = self.env.step(action)
        if self._on_frame is not None:
            self._on_frame()
        return stepped


def require_divisor(frame_skip: int, limit: int | None, id: str) -> None:
    """Raises ConfigError if the time limit of an environment, in its own steps, would end in the middle of an action."""
    if limit is not None and limit % frame_skip:
        divisor = next(number for number in range(min(frame_skip, limit), 0, -1) if limit % number == 0)
        raise ConfigError(
            f"env.frame_skip={frame_skip} does not divide the {limit} steps of an episode of {id}, whose last action would "
            f"be cut short. Try env.frame_skip={divisor}"
        )
