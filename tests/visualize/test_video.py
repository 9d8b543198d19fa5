"""A video file holds the frames that were added to it."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from a3c_exp.visualize.video import VideoWriter


def test_a_frame_of_odd_size_is_neither_blurred_nor_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = VideoWriter(tmp_path / "videos" / "episode.mp4", 50)
    frame = np.zeros((61, 83, 3), np.uint8)
    frame[:, ::8] = 255
    for _ in range(10):
        writer.add(frame)
    writer.close()
    reader = imageio_ffmpeg.read_frames(str(writer.path))
    meta = next(reader)
    pictures = [np.frombuffer(data, np.uint8).reshape(62, 84, 3) for data in reader]
    assert meta["size"] == (84, 62) and meta["fps"] == 50 and len(pictures) == 10
    # Stretched by a pixel, sharp lines would be grey somewhere.
    assert np.abs(pictures[5][:61, :83].astype(int) - frame).mean() < 5
    assert not caplog.records


def test_a_video_without_a_frame_makes_no_file(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "episode.mp4", 30)
    writer.close()
    assert not any(tmp_path.iterdir())
