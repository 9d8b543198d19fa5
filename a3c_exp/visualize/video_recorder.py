"""Looking on while an episode is lived, and keeping what was seen on film."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import Environments
from a3c_exp.evaluate.evaluator import Decision
from a3c_exp.visualize.episode_info import Glance, Story
from a3c_exp.visualize.video import Film

Compose = Callable[[NDArray[np.uint8], Glance, Decision], NDArray[np.uint8]]
"""From the task's picture, what there is to say, and what was decided, to a frame."""


class Camera:
    """A spectator that films every frame the environment can give, those within a step too, and what the policy says of it.

    Args:
        envs: rendered.
        film: where frames go.
        story: of the episode.
        compose: makes the frames.
    """

    def __init__(self, envs: Environments, film: Film, story: Story, compose: Compose) -> None:
        self._envs = envs
        self._film = film
        self._story = story
        self._compose = compose
        self._decision: Decision | None = None
        self._within: list[NDArray[np.uint8]] = []
        self._latest: NDArray[np.uint8] | None = None
        if hasattr(envs, "on_frame"):
            envs.on_frame = lambda: self._within.append(self._envs.render())

    def decided(self, decision: Decision) -> None:
        self._decision = decision
        self._story.decided(decision)
        self._add(self._envs.render() if self._latest is None else self._latest)

    def stepped(self, reward: float) -> None:
        # The picture after a step belongs to the decision that it leads to, and waits for that.
        *within, self._latest = self._within or [self._envs.render()]
        self._within = []
        for picture in within:
            self._add(picture)
        self._story.stepped(reward)

    def close(self) -> None:
        """Film what the last step led to."""
        if self._latest is not None and self._decision is not None:
            self._add(self._latest)

    def _add(self, picture: NDArray[np.uint8]) -> None:
        assert self._decision is not None
        self._film.add(self._compose(picture, self._story.glance(), self._decision))
