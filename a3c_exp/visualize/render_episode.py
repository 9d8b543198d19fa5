"""One episode for the eye: a video file, a window, or pictures."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_info import EpisodeHistory, frames_per_second
from a3c_exp.visualize.frame import FrameComposer
from a3c_exp.visualize.headless import use_headless_display
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.screenshots import FrameSaver
from a3c_exp.visualize.video import VideoWriter, require_video_encoder
from a3c_exp.visualize.video_recorder import FrameFunction, VideoRecorder


@dataclass(frozen=True)
class RenderedEpisode:
    """What was shown: the episode's return and length, and the video's path if one was written, with its frames a second."""

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
    """Live the first held-out episode with ``weights [P]`` where it can be seen.

    Args:
        folder: where a video goes; ``episode_<n>.mp4``, never over an old one.
        video, display: which of the two.
        no_overlay: leave out what is laid over the picture.
        saliency: put beside each picture what the network sees and where it looks.

    Raises:
        ConfigError: both were asked for, there is no display, no video encoder, or the task draws no picture.
    """
    if video and display:
        raise ConfigError("--video and --render draw in different ways; ask for one of them")
    if no_overlay and saliency:
        raise ConfigError("--plain is the task's picture alone, --saliency all there is to see; ask for one of them")
    if display and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--render needs a display, and this session has none. Try --video")
    if video:
        require_video_encoder()
        use_headless_display()
    envs = setup.make_evaluation_envs(num_envs=1, render_mode="human" if display else "rgb_array")
    one = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
    path = _unused_path(folder, ".mp4") if video else None
    speed = frames_per_second(envs)
    film = VideoWriter(path, speed) if path is not None else None
    try:
        model, layout = setup.model(envs)
        camera = None
        if film is not None:
            camera = VideoRecorder(
                envs,
                film,
                EpisodeHistory(envs, model.distribution),
                _frame_function(FrameComposer(model) if saliency else None, no_overlay),
            )
        evaluation = Evaluator(model, layout, envs, one, seed, observer=camera).evaluate(weights.to(setup.device), 0, 0, 0.0)
        if camera is not None:
            camera.close()
    finally:
        if film is not None:
            film.close()
        envs.close()
    return RenderedEpisode(evaluation.mean, int(evaluation.mean_length), path, speed)


def save_frames(
    setup: TrainingSetup, weights: Tensor, config: EvaluatorConfig, seed: int, folder: Path, interval: int
) -> Sequence[Path]:
    """Pictures of every so many steps of the first held-out episode: what there is to see, what the network sees, and where
    it looks; ``episode_<n>/step_<step>.png`` below ``folder``, never over old ones.
    """
    use_headless_display()
    envs = setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
    try:
        model, layout = setup.model(envs)
        photographer = FrameSaver(
            envs,
            EpisodeHistory(envs, model.distribution),
            FrameComposer(model),
            _unused_path(folder, ""),
            lambda step: None if step % interval else f"step_{step}",
        )
        one = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
        Evaluator(model, layout, envs, one, seed, observer=photographer).evaluate(weights.to(setup.device), 0, 0, 0.0)
    finally:
        envs.close()
    return photographer.paths


def _frame_function(frame_composer: FrameComposer | None, no_overlay: bool) -> FrameFunction:
    if no_overlay:
        return lambda picture, glance, decision: picture
    if frame_composer is not None:
        return frame_composer
    return lambda picture, glance, decision: overlay(picture, glance)


def _unused_path(folder: Path, suffix: str) -> Path:
    number = 1
    while (path := folder / f"episode_{number}{suffix}").exists():
        number += 1
    return path
