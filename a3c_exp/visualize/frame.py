"""A frame with everything there is to see: the environment's picture, what the network sees, and which pixels matter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.base import ActorCritic
from a3c_exp.visualize.episode_frames import FrameInfo
from a3c_exp.visualize.overlay import LABEL_COLOR, TEXT_COLOR, Color, font, overlay
from a3c_exp.visualize.saliency import saliency

_BACKGROUND = (13, 16, 26)
_GAP, _CAPTION_HEIGHT = 12, 20
_MAX_FRAMES = 4
_HEATMAP_COLORS = np.array([(0, 0, 0), (86, 15, 109), (187, 55, 84), (249, 142, 8), (252, 255, 164)], np.float64)
"""Five colors of matplotlib's "inferno", by Nathaniel Smith and Stéfan van der Walt (CC0)."""


@dataclass(frozen=True)
class ObservationImages:
    """An observation as images."""

    frames: list[NDArray[np.float32]]  #: each ``[height, width]`` or ``[height, width, 3]``, from 0 to 1, the latest last
    channel_axis: int | None  #: of the observation; ``None`` if it has no channels


def observation_images(observation: NDArray[np.float32]) -> ObservationImages | None:
    """The images of an observation ``[height, width]``, or with channels first or last; ``None`` if it is no image. Three
    channels are one image in color; four, if they come last, one with an alpha channel; others are gray frames."""
    if observation.ndim not in (2, 3) or min(sorted(observation.shape)[-2:]) < 8:
        return None
    low, high = float(observation.min()), float(observation.max())
    shown = observation if low >= 0 and high <= 1 else (observation - low) / max(high - low, 1e-9)
    if observation.ndim == 2:
        return ObservationImages([shown], None)
    axis = 2 if shown.shape[2] < shown.shape[0] else 0
    channels = np.moveaxis(shown, axis, 0)
    if len(channels) == 3 or (len(channels) == 4 and axis == 2):
        return ObservationImages([np.moveaxis(channels[:3], 0, 2)], axis)
    return ObservationImages(list(channels), axis)


@dataclass(frozen=True, eq=False)
class FrameComposer:
    """Composes a frame of overlay, network input and saliency; for observations that are no images, of the overlay alone."""

    model: ActorCritic  #: whose gradients give the saliency

    def __call__(self, picture: NDArray[np.uint8], frame_info: FrameInfo, policy_step: PolicyStep) -> NDArray[np.uint8]:
        """The frame ``[height, width, 3]``; of the same size at every step of an environment."""
        rendered = overlay(picture, frame_info)
        if (images := observation_images(policy_step.observation.cpu().numpy())) is None:
            return rendered
        heatmaps = saliency(self.model, policy_step, images.channel_axis)
        height, width = rendered.shape[:2]
        frames = images.frames[-_MAX_FRAMES:]
        small = min((width - _GAP * (len(frames) - 1)) // len(frames), height // 2)
        total = height + _CAPTION_HEIGHT + small + _CAPTION_HEIGHT
        large = (total - _GAP - 2 * _CAPTION_HEIGHT) // 2
        canvas = Image.new("RGB", (_GAP * 3 + width + large, total + 2 * _GAP), _BACKGROUND)
        draw = ImageDraw.Draw(canvas)

        def caption(x: float, y: float, text: str, size: int = 12, color: Color = TEXT_COLOR) -> None:
            draw.text((x, y + _CAPTION_HEIGHT / 2), text, color[:3], font(size), "mm")

        canvas.paste(Image.fromarray(rendered), (_GAP, _GAP))
        caption(_GAP + width / 2, _GAP + height, "what the network sees")
        top = _GAP + height + _CAPTION_HEIGHT
        for index, frame in enumerate(frames):
            x, age = _GAP + index * (small + _GAP), len(frames) - 1 - index
            image = Image.fromarray((255 * np.clip(frame, 0, 1)).astype(np.uint8)).convert("RGB")
            canvas.paste(_fit_to_square(image, small, Image.Resampling.NEAREST), (x, top))
            caption(x + small / 2, top + small, f"{age} step{'s' if age > 1 else ''} ago" if age else "now", 11, LABEL_COLOR)
        x, y = 2 * _GAP + width, _GAP
        for name, heatmap in (("what decides the action", heatmaps.policy), ("what decides the value", heatmaps.value)):
            canvas.paste(_heatmap_image(frames[-1], heatmap, large), (x, y))
            caption(x + large / 2, y + large, name)
            y += large + _CAPTION_HEIGHT + _GAP
        return np.asarray(canvas)


def _heatmap_image(frame: NDArray[np.float32], heatmap: NDArray[np.float32], size: int) -> Image.Image:
    gray = frame if frame.ndim == 2 else frame.mean(-1)
    places = np.linspace(0, 1, len(_HEATMAP_COLORS))
    color = np.stack([np.interp(heatmap, places, channel) for channel in _HEATMAP_COLORS.T], -1)
    opacity = 0.92 * heatmap[..., None] ** 0.8
    picture = (1 - opacity) * 0.62 * 255 * np.clip(gray, 0, 1)[..., None] + opacity * color
    return _fit_to_square(Image.fromarray(picture.astype(np.uint8)), size, Image.Resampling.BICUBIC)


def _fit_to_square(image: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    factor = size / max(image.size)
    scaled = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), resampling)
    square = Image.new("RGB", (size, size), _BACKGROUND)
    square.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    return square
