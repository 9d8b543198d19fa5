"""The video of a pretrained policy's first held-out episode, for pictures of docs."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def policy_video(policy: Path) -> Iterator[Path]:
    """The MP4 file that ``evaluate --video`` writes for the folder ``policy``; it is gone at the end."""
    with tempfile.TemporaryDirectory() as here:
        command = [sys.executable, "-m", "a3c_exp.evaluate", str(policy), "--video", "--plain", "--episodes", "1"]
        subprocess.run(command, cwd=here, check=True, stdout=subprocess.DEVNULL)
        (video,) = Path(here).rglob("*.mp4")
        yield video
