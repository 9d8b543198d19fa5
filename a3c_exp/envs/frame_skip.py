"""A gymnasium environment whose actions are held for several of its steps."""

from typing import Any

import gymnasium


class FrameSkip(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every action is held for ``frame_skip`` steps, whose rewards are added up, or until the episode ends."""

    def __init__(self, env: gymnasium.Env[Any, Any], frame_skip: int) -> None:
        super().__init__(env)
        self.frame_skip = frame_skip

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        total: Any
        observation, total, terminated, truncated, info = self.env.step(action)
        for _ in range(self.frame_skip - 1):
            if terminated or truncated:
                break
            observation, reward, terminated, truncated, info = self.env.step(action)
            total = total + reward
        return observation, total, terminated, truncated, info
