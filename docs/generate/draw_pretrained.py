"""Draw docs/figures/pretrained.webp: six moments of one held-out episode of every folder in pretrained/, a row each.

python docs/generate/draw_pretrained.py            # all: minutes, most for MuJoCo (MUJOCO_GL=egl without a display)
python docs/generate/draw_pretrained.py pong       # these rows alone
"""

import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from policy_video import policy_video

ROOT = Path(__file__).resolve().parents[2]
FIGURE = ROOT / "docs" / "figures" / "pretrained.webp"
MOMENTS = 6
WIDTH, HEIGHT, GAP, TITLE = 200, 134, 6, 26


def main() -> None:
    folders = sorted(path.parent for path in (ROOT / "pretrained").glob("*/provenance.json"))
    names = [folder.name for folder in folders]
    for name in sys.argv[1:]:
        if name not in names:
            sys.exit(f"pretrained/ has no folder {name}. Name one of {', '.join(names)}")
    drawn = [folder for folder in folders if not sys.argv[1:] or folder.name in sys.argv[1:]]
    row = TITLE + HEIGHT + GAP
    kept = _rows(folders, drawn, row)
    strip = Image.new("RGB", (MOMENTS * (WIDTH + GAP) - GAP, len(folders) * row - GAP), "white")
    draw = ImageDraw.Draw(strip)
    font, small = ImageFont.load_default(16), ImageFont.load_default(11)
    for index, folder in enumerate(folders):
        if folder in kept:
            strip.paste(kept[folder], (0, index * row))
            continue
        cells, frames_per_second = _episode(folder)
        moments = np.linspace(0, 1, MOMENTS) ** 1.5 * (len(cells) - 1)  # closer at the start, where most happens
        draw.text((0, index * row + 4), folder.name, "black", font)
        for column, moment in enumerate(moments.round().astype(int)):
            left, top = column * (WIDTH + GAP), index * row + TITLE
            strip.paste(cells[moment], (left, top))
            draw.rectangle((left, top, left + WIDTH - 1, top + HEIGHT - 1), outline="lightgray")
            draw.text((left + 5, top + 4), f"{moment / frames_per_second:.1f} s", "dimgray", small)
    strip.save(FIGURE, quality=85)
    print(f"{FIGURE.relative_to(ROOT)}: {len(folders)} tasks, {FIGURE.stat().st_size / 1000:.0f} kB")


def _rows(folders: list[Path], drawn: list[Path], row: int) -> dict[Path, Image.Image]:
    """The rows of today's picture that are not drawn anew; one for each folder, or for each that is not drawn."""
    if drawn == folders:
        return {}
    picture = Image.open(FIGURE).convert("RGB")
    rows = (picture.height + GAP) // row
    there = folders if rows == len(folders) else [folder for folder in folders if folder not in drawn]
    if rows != len(there):
        sys.exit(
            f"{FIGURE.relative_to(ROOT)} has {rows} rows, and {len(there)} were expected. Name no folder, so that all are drawn"
        )
    places = {folder: (0, index * row, picture.width, (index + 1) * row - GAP) for index, folder in enumerate(there)}
    return {folder: picture.crop(box) for folder, box in places.items() if folder not in drawn}


def _episode(folder: Path) -> tuple[list[Image.Image], float]:
    """The frames of its video, fitted, and how many there are in a second."""
    with policy_video(folder) as video:
        frames = imageio_ffmpeg.read_frames(str(video))
        about = next(frames)
        return [_fit(Image.frombytes("RGB", about["size"], frame)) for frame in frames], about["fps"]


def _fit(frame: Image.Image) -> Image.Image:
    """The largest picture of this shape that fits, in the middle of white."""
    frame.thumbnail((WIDTH, HEIGHT))
    cell = Image.new("RGB", (WIDTH, HEIGHT), "white")
    cell.paste(frame, ((WIDTH - frame.width) // 2, (HEIGHT - frame.height) // 2))
    return cell


if __name__ == "__main__":
    main()
