"""A video file, frame by frame."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.system.errors import ConfigError


class VideoWriter:
    """An mp4 whose size is that of its first frame; without a frame no file is made.

    Args:
        path: of the file; its folder is made.
        frames_per_second: at which it is played.
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path = path
        self._frames_per_second = frames_per_second
        self._encoder: Any = None

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame ``[height, width, 3]``; its last row or column is doubled where the encoder needs an even number."""
        odd = [(0, side % 2) for side in frame.shape[:2]]
        frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
        if self._encoder is None:
            import imageio_ffmpeg

            self.path.parent.mkdir(parents=True, exist_ok=True)
            height, width = frame.shape[:2]
            self._encoder = imageio_ffmpeg.write_frames(
                str(self.path),
                (width, height),
                fps=self._frames_per_second,
                quality=7,
                macro_block_size=2,
                ffmpeg_log_level="error",
            )
            self._encoder.send(None)
        self._encoder.send(np.ascontiguousarray(frame))

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


def require_video_encoder() -> None:
    """Refuse to promise a video where none can be written.

    Raises:
        ConfigError: the video extra is not installed.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ConfigError("a video needs imageio-ffmpeg. Try pip install 'a3c_exp[video]'")
