"""From CarRacing's color image to the 96x96 gray one that the network sees.

The CarRacing article turns the 400x600 picture gray with scikit-image's ``rgb2gray`` and shrinks it with ``rescale((0.24,
0.16), anti_aliasing=False, mode="edge")``, which interpolates between the four pixels around each point. Both are linear, so
the same numbers come from a weighted sum of three bytes, in single precision, of those pixels only that are looked at.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from a3c_exp.system.extras import require_extra

FrameSource = Literal["state_pixels", "render"]
Preprocessing = Literal["numpy", "skimage"]

FRAME_SIZE = 96
"""Height and width of what the network sees."""
_GRAYSCALE_WEIGHTS = np.array([0.2125, 0.7154, 0.0721, 0.0]) / 255.0
"""scikit-image's weights of red, green and blue (ITU-R BT.709, as CRTs have it), for bytes; the fourth byte has no meaning."""


class GrayscalePreprocessor:
    """The gray picture, 96x96 in [0, 1], of one in color.

    Args:
        source: ``state_pixels``, which is 96x96, or ``render``, 400x600.
        crop: leave the status bar out, the lower eighth, and stretch what is above it.
        preprocessing: ``numpy`` is the quick way, ``skimage`` the article's (an extra); they agree to within 1e-6.
    """

    def __init__(self, source: FrameSource, crop: bool = False, preprocessing: Preprocessing = "numpy") -> None:
        height, width = (400, 600) if source == "render" else (FRAME_SIZE, FRAME_SIZE)
        self._rows = height - height // 8 if crop else height
        self._by_skimage = preprocessing == "skimage"
        if self._by_skimage:
            same = "env.preprocessing=numpy, which gives the same to within a millionth"
            require_extra("env.preprocessing=skimage", "skimage", otherwise=same)
        self._weights = (_GRAYSCALE_WEIGHTS * (1 - 2e-7)).astype(np.float32)  # so that white, rounded, is not above 1
        self._same_size = (self._rows, width) == (FRAME_SIZE, FRAME_SIZE)
        rows, row_weights = _interpolation_taps(self._rows)
        columns, self._column_weights = _interpolation_taps(width)
        self._pixel_indices, self._row_weights = rows[:, None] * width + columns, row_weights[:, None]

    def __call__(self, pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Write the gray of ``pixels [height, width, 4]`` into ``out [96, 96]``, both contiguous."""
        if self._by_skimage:
            out[:] = preprocess_with_skimage(pixels[: self._rows, :, :3])
        elif self._same_size:
            np.dot(pixels.reshape(-1, 4).astype(np.float32), self._weights, out=out.reshape(-1))
        else:
            pixels_used = pixels.view(np.uint32).reshape(-1)[self._pixel_indices]
            gray = np.dot(pixels_used.view(np.uint8).reshape(-1, 4).astype(np.float32), self._weights)
            upper, lower = gray.reshape(2, FRAME_SIZE, 2 * FRAME_SIZE)
            between = upper + (lower - upper) * self._row_weights
            np.add(between[:, :FRAME_SIZE], (between[:, FRAME_SIZE:] - between[:, :FRAME_SIZE]) * self._column_weights, out=out)


def preprocess_with_skimage(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The article's way: ``[height, width, 3]`` to ``[96, 96]``. ``rescale`` by 0.24 and 0.16 is ``resize`` to 96x96."""
    from skimage.color import rgb2gray
    from skimage.transform import resize

    gray: NDArray[np.float64] = rgb2gray(pixels)
    if gray.shape != (FRAME_SIZE, FRAME_SIZE):
        gray = resize(gray, (FRAME_SIZE, FRAME_SIZE), anti_aliasing=False, mode="edge")  # type: ignore[no-untyped-call]
    return gray


def _interpolation_taps(length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where linear interpolation from ``length`` pixels to 96 looks: all first neighbors, then all second ones ``[192]``; and
    the second ones' weights ``[96]``. Centers of pixels fall on centers; beyond the outermost the edge goes on."""
    at = np.clip((np.arange(FRAME_SIZE) + 0.5) * length / FRAME_SIZE - 0.5, 0, length - 1)
    first = np.floor(at).astype(np.int64)
    return np.minimum(np.concatenate([first, first + 1]), length - 1), (at - first).astype(np.float32)
