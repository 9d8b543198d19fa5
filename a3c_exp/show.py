"""One episode for the eye: a video file or a window."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from a3c_exp.core.errors import ConfigError
from a3c_exp.envs.base import Environments
from a3c_exp.evaluation import EvaluationSpec, Evaluator
from a3c_exp.parallelism.base import Task

_FRAMES_PER_SECOND = 30


@dataclass(frozen=True)
class Shown:
    """What was shown: the episode's return and length, and the video's path if one was written."""

    return_: float
    length: int
    path: Path | None


def show(
    task: Task, weights: Tensor, spec: EvaluationSpec, seed: int, folder: Path, video: bool = False, window: bool = False
) -> Shown:
    """Live the first held-out episode with ``weights [P]`` where it can be seen.

    Args:
        folder: where a video goes; ``episode_<n>.mp4``, never over an old one.
        video, window: which of the two.

    Raises:
        ConfigError: both were asked for, there is no display, no video encoder, or the task draws no picture.
    """
    if video and window:
        raise ConfigError("--video and --render draw in different ways; ask for one of them")
    if window and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--render needs a display, and this session has none. Try --video")
    if video:
        require_encoder()
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws into memory and needs no display for that
    envs = task.make_evaluation_envs(num_envs=1, render_mode="human" if window else "rgb_array")
    one = EvaluationSpec(1, spec.deterministic, spec.max_episode_steps)
    path = _free_path(folder) if video else None
    try:
        model, layout = task.model(envs)
        with _writer(path, envs) as write:
            evaluation = Evaluator(model, layout, envs, one, seed, between_steps=write).evaluate(
                weights.to(task.device), 0, 0, 0.0
            )
    finally:
        envs.close()
    return Shown(evaluation.mean, int(evaluation.mean_length), path)


def require_encoder() -> None:
    """Refuse to promise a video where none can be written.

    Raises:
        ConfigError: the video extra is not installed.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ConfigError("a video needs imageio-ffmpeg. Try pip install 'a3c_exp[video]'")


@contextmanager
def _writer(path: Path | None, envs: Environments) -> Iterator[Any]:
    """A function that adds the current picture to the video at ``path``; one that does nothing for ``None``."""
    if path is None:
        yield lambda: None
        return
    import imageio_ffmpeg

    sink: Any = None

    def write() -> None:
        nonlocal sink
        frame = envs.render()
        if sink is None:
            height, width = frame.shape[:2]
            path.parent.mkdir(parents=True, exist_ok=True)
            sink = imageio_ffmpeg.write_frames(
                str(path), (width, height), fps=_FRAMES_PER_SECOND, macro_block_size=2, ffmpeg_log_level="error"
            )
            sink.send(None)
        sink.send(np.ascontiguousarray(frame))

    try:
        yield write
    finally:
        if sink is not None:
            sink.close()


def _free_path(folder: Path) -> Path:
    number = 1
    while (path := folder / f"episode_{number}.mp4").exists():
        number += 1
    return path
