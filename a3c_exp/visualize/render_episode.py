"""One evaluation episode as a video file, in a window, or as frames."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from torch import Tensor

from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_frames import frames_per_second, use_headless_display
from a3c_exp.visualize.frame import FrameComposer
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.screenshots import FrameSaver
from a3c_exp.visualize.video import VideoRecorder, VideoWriter, require_video_encoder


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
    """Run the first evaluation episode with ``weights [P]``, and show or record it.

    Args:
        folder: for a video ``episode_<n>.mp4``; no file is overwritten.
        video, display: record it, or show it in a window.
        no_overlay: only the environment's own picture.
        saliency: add what the network sees and which pixels matter.

    Raises:
        ConfigError: contradicting options, no display, no video encoder, or an environment that cannot be rendered.
    """
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
    writer = VideoWriter(_unused_path(folder, ".mp4"), speed) if video else None
    with closing(envs), closing(writer) if writer is not None else nullcontext():
        model, layout = setup.model(envs)
        recorder = None
        if writer is not None:
            compose = (
                FrameComposer(model)
                if saliency
                else lambda picture, info, step: picture if no_overlay else overlay(picture, info)
            )
            recorder = VideoRecorder(envs, model.distribution, compose, writer)
        one_episode = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
        evaluator = Evaluator(model, layout, envs, one_episode, seed, observer=recorder)
        evaluation = evaluator.evaluate(weights.to(setup.device), 0, 0, 0.0)
        if recorder is not None:
            recorder.close()
    return RenderedEpisode(evaluation.mean, int(evaluation.mean_length), None if writer is None else writer.path, speed)


def save_frames(
    setup: TrainingSetup, weights: Tensor, config: EvaluatorConfig, seed: int, folder: Path, interval: int
) -> Sequence[Path]:
    """Save every ``interval``-th frame of the first evaluation episode, with what the network sees and which pixels matter.

    The files are ``episode_<n>/step_<step>.png`` below ``folder``; none is overwritten.
    """
    use_headless_display()
    with closing(setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")) as envs:
        model, layout = setup.model(envs)
        saver = FrameSaver(envs, model, _unused_path(folder, ""), lambda step: None if step % interval else f"step_{step}")
        one_episode = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
        Evaluator(model, layout, envs, one_episode, seed, observer=saver).evaluate(weights.to(setup.device), 0, 0, 0.0)
    return saver.paths


def _unused_path(folder: Path, suffix: str) -> Path:
    paths = (folder / f"episode_{number}{suffix}" for number in count(1))
    return next(path for path in paths if not path.exists())
