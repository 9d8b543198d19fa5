"""Draw docs/figures/car_racing.gif: the first held-out track of pretrained/car_racing, every fifth frame.

python docs/generate/draw_drive.py
"""

import subprocess
from pathlib import Path

import imageio_ffmpeg
from policy_video import policy_video

ROOT = Path(__file__).resolve().parents[2]
FIGURE = ROOT / "docs" / "figures" / "car_racing.gif"
FILTERS = (
    "select='not(mod(n,5))',setpts=N/10/TB,scale=420:-1:flags=lanczos,split[frames][copy];"
    "[copy]palettegen=max_colors=48[colors];[frames][colors]paletteuse=dither=bayer:bayer_scale=4"
)


def main() -> None:
    with policy_video(ROOT / "pretrained" / "car_racing") as video:
        ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
        subprocess.run([*ffmpeg, "-i", str(video), "-vf", FILTERS, "-r", "10", str(FIGURE)], check=True)
    print(f"{FIGURE.relative_to(ROOT)}: {FIGURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
