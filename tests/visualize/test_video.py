"""A video file holds what was given to it."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from a3c_exp.visualize.video import VideoWriter


def test_a_picture_of_odd_size_is_neither_blurred_nor_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = VideoWriter(tmp_path / "videos" / "film.mp4", 50)
    frame = np.zeros((61, 83, 3), np.uint8)
    frame[:, ::8] = 255
    for _ in range(10):
        film.add(frame)
    film.close()
    reader = imageio_ffmpeg.read_frames(str(film.path))
    meta = next(reader)
    pictures = [np.frombuffer(one, np.uint8).reshape(62, 84, 3) for one in reader]
    assert meta["size"] == (84, 62) and meta["fps"] == 50 and len(pictures) == 10
    # Stretched by a pixel, sharp lines would be grey somewhere.
    assert np.abs(pictures[5][:61, :83].astype(int) - frame).mean() < 5
    assert not caplog.records


def test_a_film_without_a_frame_is_no_file(tmp_path: Path) -> None:
    film = VideoWriter(tmp_path / "film.mp4", 30)
    film.close()
    assert not any(tmp_path.iterdir())
