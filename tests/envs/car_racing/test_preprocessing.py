"""The quick way to grey pictures gives what scikit-image gives."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.transform import rescale, resize

from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.envs.car_racing.preprocessing import FrameSource, GrayscalePreprocessor


def pictures(source: FrameSource) -> list[NDArray[np.uint8]]:
    """A drawn one, and noise, which has every value and no neighbors alike."""
    game = CarRacingGame()
    game.reset(seed=2)
    for _ in range(60):
        game.advance(0.1, 0.5, 0.0)
    drawn = (game.state_pixels() if source == "state_pixels" else game.picture()).copy()
    return [drawn, np.random.default_rng(0).integers(0, 256, drawn.shape, np.uint8)]


def grey(pixels: NDArray[np.uint8], *options: Any, **more: Any) -> NDArray[np.float32]:
    out = np.full((96, 96), np.nan, np.float32)
    GrayscalePreprocessor(*options, **more)(pixels, out)
    return out


def test_the_articles_own_call_gives_these_values() -> None:
    for pixels in pictures("render"):
        article = rescale(rgb2gray(pixels[..., :3]), (0.24, 0.16), anti_aliasing=False, mode="edge")
        assert article.shape == (96, 96)
        assert np.abs(grey(pixels, "render") - article).max() < 1e-6


@pytest.mark.parametrize("source", ["state_pixels", "render"])
@pytest.mark.parametrize("crop", [False, True])
def test_the_quick_way_is_that_of_scikit_image(source: FrameSource, crop: bool) -> None:
    for pixels in pictures(source):
        quick, reference = grey(pixels, source, crop), grey(pixels, source, crop, preprocessing="skimage")
        assert np.abs(quick - reference).max() < 1e-6
        assert quick.min() >= 0 and quick.max() <= 1
        assert quick.std() > 0.05


@pytest.mark.parametrize(("source", "rows"), [("state_pixels", 84), ("render", 350)])
def test_cropped_is_everything_above_the_status_bar_and_nothing_of_it(source: FrameSource, rows: int) -> None:
    pixels = pictures(source)[1]
    below = pixels.copy()
    below[rows:] = 0
    assert np.array_equal(grey(pixels, source, crop=True), grey(below, source, crop=True))
    right = resize(rgb2gray(pixels[:rows, :, :3]), (96, 96), anti_aliasing=False, mode="edge")
    assert np.abs(grey(pixels, source, crop=True) - right).max() < 1e-6


@pytest.mark.parametrize("crop", [False, True])
def test_white_is_not_whiter_than_one(crop: bool) -> None:
    for source, shape in (("state_pixels", (96, 96, 4)), ("render", (400, 600, 4))):
        white = grey(np.full(shape, 255, np.uint8), source, crop)
        assert white.max() <= 1 and white.min() > 1 - 1e-6


def test_the_fourth_byte_means_nothing() -> None:
    for source in ("state_pixels", "render"):
        pixels = pictures(source)[1]
        other = pixels.copy()
        other[..., 3] = 255 - other[..., 3]
        assert np.array_equal(grey(pixels, source), grey(other, source))
