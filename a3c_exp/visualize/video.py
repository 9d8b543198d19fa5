"""One evaluation episode as a video or in a window: what observes it, and the file that is written."""

import os
import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig, PolicyStep
from a3c_exp.models.distributions import Distribution
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.extras import require_extra
from a3c_exp.visualize.episode_frames import EpisodeFrames, FrameFunction, frames_per_second, unused_path, use_headless_display
from a3c_exp.visualize.frame import FrameComposer
from a3c_exp.visualize.overlay import overlay


class VideoWriter:
    """An mp4 file of the size of its first frame, in a folder that is made; without a frame no file is made."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path = path
        self._frames_per_second = frames_per_second
        self._encoder: Any = None

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame ``[height, width, 3]``; the last row or column is doubled, since the encoder needs even sizes."""
        padding = [(0, side % 2) for side in frame.shape[:2]]
        frame = np.pad(frame, [*padding, (0, 0)], mode="edge")
        if self._encoder is None:
            import imageio_ffmpeg

            self.path.parent.mkdir(parents=True, exist_ok=True)
            options = {"fps": self._frames_per_second, "quality": 7, "macro_block_size": 2, "ffmpeg_log_level": "error"}
            self._encoder = imageio_ffmpeg.write_frames(str(self.path), frame.shape[1::-1], **options)
            self._encoder.send(None)
        self._encoder.send(np.ascontiguousarray(frame))

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


class VideoRecorder(EpisodeFrames):
    """Records every frame that the environment can render, those within a repeated action too, in ``video``."""

    def __init__(self, envs: EnvBatch, distribution: Distribution, compose: FrameFunction, video: VideoWriter) -> None:
        super().__init__(envs, distribution, compose)
        self._video = video
        self._step_pictures: list[NDArray[np.uint8]] = []
        self._latest_picture: NDArray[np.uint8] | None = None
        if hasattr(envs, "on_frame"):
            envs.on_frame = lambda: self._step_pictures.append(envs.render())

    def before_step(self, policy_step: PolicyStep) -> None:
        super().before_step(policy_step)
        self._video.add(self.frame(self._latest_picture))

    def after_step(self, reward: float) -> None:
        # The picture after a step is shown with the action that follows from it, so it waits for the next step.
        *within_step, self._latest_picture = self._step_pictures or [self.envs.render()]
        self._step_pictures = []
        for picture in within_step:
            self._video.add(self.frame(picture))
        super().after_step(reward)

    def close(self) -> None:
        """Add the picture after the last step."""
        if self._latest_picture is not None:
            self._video.add(self.frame(self._latest_picture))


def require_video_encoder() -> None:
    """Raises ConfigError if the extra ``video`` is not installed."""
    require_extra("a video", "imageio_ffmpeg")


@dataclass(frozen=True)
class RenderedEpisode:
    """The episode's return and length, and the path of its video if one was written, with its frames per second."""

    return_: float
    length: int
    path: Path | None
    frames_per_second: float


def render_episode(
    setup: TrainingSetup,
    weights: Tensor,
    config: EvaluatorConfig,
    seed: int,
    folder: Path,
    video: bool = False,
    display: bool = False,
    no_overlay: bool = False,
    saliency: bool = False,
) -> RenderedEpisode:
    """Run the first evaluation episode with ``weights [P]`` and ``display`` it in a window, or record it as a new ``video``,
    ``folder/episode_<n>.mp4``. ``no_overlay`` leaves the environment's picture alone, ``saliency`` adds what the network sees
    and which pixels matter. Raises ConfigError for contradicting options, no display, no video encoder, or an environment that
    cannot be rendered."""
    if video and display:
        raise ConfigError("--video and --render draw in different ways; ask for one of them")
    if no_overlay and saliency:
        raise ConfigError("--plain is the environment's picture alone, --saliency adds to it; ask for one of them")
    if display and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--render needs a display, and this session has none. Try --video")
    if video:
        require_video_encoder()
        use_headless_display()
    envs = setup.make_evaluation_envs(num_envs=1, render_mode="human" if display else "rgb_array")
    speed = frames_per_second(envs)
    writer = VideoWriter(unused_path(folder, ".mp4"), speed) if video else None
    with closing(envs), closing(writer) if writer is not None else nullcontext():
        model, layout = setup.model(envs)
        recorder = None
        if writer is not None:
            compose = FrameComposer(model) if saliency else lambda image, info, _: image if no_overlay else overlay(image, info)
            recorder = VideoRecorder(envs, model.distribution, compose, writer)
        one_episode = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
        evaluator = Evaluator(model, layout, envs, one_episode, seed, observer=recorder)
        evaluation = evaluator.evaluate(weights.to(setup.device), 0, 0, 0.0)
        if recorder is not None:
            recorder.close()
    return RenderedEpisode(evaluation.mean, int(evaluation.mean_length), None if writer is None else writer.path, speed)
