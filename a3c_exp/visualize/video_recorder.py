"""Looking on while an episode is lived, and keeping what was seen on film."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.visualize.episode_info import EpisodeHistory, FrameInfo
from a3c_exp.visualize.video import VideoWriter

FrameFunction = Callable[[NDArray[np.uint8], FrameInfo, PolicyStep], NDArray[np.uint8]]
"""From the task's picture, what there is to say, and what was decided, to a frame."""


class VideoRecorder:
    """A spectator that films every frame the environment can give, those within a step too, and what the policy says of it.

    Args:
        envs: rendered.
        video: where frames go.
        history: of the episode.
        compose_frame: makes the frames.
    """

    def __init__(self, envs: EnvBatch, video: VideoWriter, history: EpisodeHistory, compose_frame: FrameFunction) -> None:
        self._envs = envs
        self._video = video
        self._history = history
        self._compose_frame = compose_frame
        self._policy_step: PolicyStep | None = None
        self._step_frames: list[NDArray[np.uint8]] = []
        self._latest_frame: NDArray[np.uint8] | None = None
        if hasattr(envs, "on_frame"):
            envs.on_frame = lambda: self._step_frames.append(self._envs.render())

    def before_step(self, policy_step: PolicyStep) -> None:
        self._policy_step = policy_step
        self._history.before_step(policy_step)
        self._add_frame(self._envs.render() if self._latest_frame is None else self._latest_frame)

    def after_step(self, reward: float) -> None:
        # The picture after a step belongs to the decision that it leads to, and waits for that.
        *within, self._latest_frame = self._step_frames or [self._envs.render()]
        self._step_frames = []
        for picture in within:
            self._add_frame(picture)
        self._history.after_step(reward)

    def close(self) -> None:
        """Film what the last step led to."""
        if self._latest_frame is not None and self._policy_step is not None:
            self._add_frame(self._latest_frame)

    def _add_frame(self, picture: NDArray[np.uint8]) -> None:
        assert self._policy_step is not None
        self._video.add(self._compose_frame(picture, self._history.frame_info(), self._policy_step))
