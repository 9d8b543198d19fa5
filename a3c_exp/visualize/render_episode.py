"""One episode for the eye: a video file, a window, or pictures."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from a3c_exp.evaluate.evaluator import EvaluationSpec, Evaluator
from a3c_exp.parallelism.base import Task
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_info import Story, frames_per_second
from a3c_exp.visualize.frame import Figure
from a3c_exp.visualize.headless import draw_into_memory
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.screenshots import Photographer
from a3c_exp.visualize.video import Film, require_encoder
from a3c_exp.visualize.video_recorder import Camera, Compose


@dataclass(frozen=True)
class Shown:
    """What was shown: the episode's return and length, and the video's path if one was written, with its frames a second."""

    return_: float
    length: int
    path: Path | None
    frames_per_second: float


def show(
    task: Task,
    weights: Tensor,
    spec: EvaluationSpec,
    seed: int,
    folder: Path,
    video: bool = False,
    window: bool = False,
    plain: bool = False,
    saliency: bool = False,
) -> Shown:
    """Live the first held-out episode with ``weights [P]`` where it can be seen.

    Args:
        folder: where a video goes; ``episode_<n>.mp4``, never over an old one.
        video, window: which of the two.
        plain: leave out what is laid over the picture.
        saliency: put beside each picture what the network sees and where it looks.

    Raises:
        ConfigError: both were asked for, there is no display, no video encoder, or the task draws no picture.
    """
    if video and window:
        raise ConfigError("--video and --render draw in different ways; ask for one of them")
    if plain and saliency:
        raise ConfigError("--plain is the task's picture alone, --saliency all there is to see; ask for one of them")
    if window and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--render needs a display, and this session has none. Try --video")
    if video:
        require_encoder()
        draw_into_memory()
    envs = task.make_evaluation_envs(num_envs=1, render_mode="human" if window else "rgb_array")
    one = EvaluationSpec(1, spec.deterministic, spec.max_episode_steps)
    path = _free_path(folder, ".mp4") if video else None
    speed = frames_per_second(envs)
    film = Film(path, speed) if path is not None else None
    try:
        model, layout = task.model(envs)
        camera = None
        if film is not None:
            camera = Camera(envs, film, Story(envs, model.family), _compose(Figure(model) if saliency else None, plain))
        evaluation = Evaluator(model, layout, envs, one, seed, spectator=camera).evaluate(weights.to(task.device), 0, 0, 0.0)
        if camera is not None:
            camera.close()
    finally:
        if film is not None:
            film.close()
        envs.close()
    return Shown(evaluation.mean, int(evaluation.mean_length), path, speed)


def photograph(task: Task, weights: Tensor, spec: EvaluationSpec, seed: int, folder: Path, every: int) -> Sequence[Path]:
    """Pictures of every so many steps of the first held-out episode: what there is to see, what the network sees, and where
    it looks; ``episode_<n>/step_<step>.png`` below ``folder``, never over old ones.
    """
    draw_into_memory()
    envs = task.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
    try:
        model, layout = task.model(envs)
        photographer = Photographer(
            envs,
            Story(envs, model.family),
            Figure(model),
            _free_path(folder, ""),
            lambda step: None if step % every else f"step_{step}",
        )
        one = EvaluationSpec(1, spec.deterministic, spec.max_episode_steps)
        Evaluator(model, layout, envs, one, seed, spectator=photographer).evaluate(weights.to(task.device), 0, 0, 0.0)
    finally:
        envs.close()
    return photographer.taken


def _compose(figure: Figure | None, plain: bool) -> Compose:
    if plain:
        return lambda picture, glance, decision: picture
    if figure is not None:
        return figure
    return lambda picture, glance, decision: overlay(picture, glance)


def _free_path(folder: Path, ending: str) -> Path:
    number = 1
    while (path := folder / f"episode_{number}{ending}").exists():
        number += 1
    return path
