"""All there is to see of one moment: the task's picture, what the network sees of it, and where it looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.base import ActorCritic
from a3c_exp.visualize.episode_info import FrameInfo
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.panel import LABEL_COLOR, TEXT_COLOR, font
from a3c_exp.visualize.saliency import saliency

_BACKGROUND = (13, 16, 26)
_GAP, _CAPTION_HEIGHT = 12, 20
_MAX_FRAMES = 4
_HEATMAP_COLORS = np.array([(0, 0, 0), (86, 15, 109), (187, 55, 84), (249, 142, 8), (252, 255, 164)], np.float64)
"""Five colours of matplotlib's "inferno", by Nathaniel Smith and Stéfan van der Walt (CC0)."""


@dataclass(frozen=True)
class ObservationImages:
    """An observation as pictures.

    Attributes:
        frames: each ``[height, width]`` or ``[height, width, 3]``, from 0 to 1, the latest last.
        channel_axis: of the observation; ``None`` if it has no channels.
    """

    frames: list[NDArray[np.float32]]
    channel_axis: int | None


def observation_images(observation: NDArray[np.float32]) -> ObservationImages | None:
    """What a network sees, if that is a picture: ``[height, width]``, or with channels before or behind.

    Three channels are the colours of one picture, four those of one with an opacity if they come last; all others are grey
    frames, the latest last.
    """
    if observation.ndim not in (2, 3) or min(sorted(observation.shape)[-2:]) < 8:
        return None
    low, high = float(observation.min()), float(observation.max())
    shown = observation if low >= 0 and high <= 1 else (observation - low) / max(high - low, 1e-9)
    if observation.ndim == 2:
        return ObservationImages([shown], None)
    last = shown.shape[2] < shown.shape[0]
    first_last = np.moveaxis(shown, 2, 0) if last else shown
    axis = 2 if last else 0
    if len(first_last) == 3 or (len(first_last) == 4 and last):
        return ObservationImages([np.moveaxis(first_last[:3], 0, 2)], axis)
    return ObservationImages(list(first_last), axis)


class FrameComposer:
    """Puts one moment's pictures together. For observations that are no pictures it is the overlay alone.

    Args:
        model: whose gradients say where it looks.
    """

    def __init__(self, model: ActorCritic) -> None:
        self._model = model

    def __call__(self, picture: NDArray[np.uint8], frame_info: FrameInfo, policy_step: PolicyStep) -> NDArray[np.uint8]:
        """The figure ``[height, width, 3]``; of the same size for every moment of a task."""
        shown = overlay(picture, frame_info)
        seen = observation_images(policy_step.observation.cpu().numpy())
        if seen is None:
            return shown
        where = saliency(self._model, policy_step, seen.channel_axis)
        height, width = shown.shape[:2]
        frames = seen.frames[-_MAX_FRAMES:]
        small = min((width - _GAP * (len(frames) - 1)) // len(frames), height // 2)
        total = height + _CAPTION_HEIGHT + small + _CAPTION_HEIGHT
        large = (total - _GAP - 2 * _CAPTION_HEIGHT) // 2
        canvas = Image.new("RGB", (_GAP * 3 + width + large, total + 2 * _GAP), _BACKGROUND)
        canvas.paste(Image.fromarray(shown), (_GAP, _GAP))
        draw = ImageDraw.Draw(canvas)
        top = _GAP + height + _CAPTION_HEIGHT
        for place, frame in enumerate(frames):
            x = _GAP + place * (small + _GAP)
            canvas.paste(_gray_image(frame, small), (x, top))
            ago = len(frames) - 1 - place
            name = "now" if ago == 0 else f"{ago} step{'s' if ago > 1 else ''} ago"
            draw.text((x + small / 2, top + small + _CAPTION_HEIGHT / 2), name, LABEL_COLOR[:3], font(11), "mm")
        draw.text((_GAP + width / 2, top - _CAPTION_HEIGHT / 2), "what the network sees", TEXT_COLOR[:3], font(12), "mm")
        x, y = 2 * _GAP + width, _GAP
        for name, heat in (("what decides the action", where.policy), ("what decides the value", where.value)):
            canvas.paste(_heatmap_image(frames[-1], heat, large), (x, y))
            draw.text((x + large / 2, y + large + _CAPTION_HEIGHT / 2), name, TEXT_COLOR[:3], font(12), "mm")
            y += large + _CAPTION_HEIGHT + _GAP
        return np.asarray(canvas)


def _gray_image(frame: NDArray[np.float32], size: int) -> Image.Image:
    """A square of ``size`` pixels; what is not square is fitted into it."""
    image = Image.fromarray((255 * np.clip(frame, 0, 1)).astype(np.uint8)).convert("RGB")
    return _fit_to_square(image, size)


def _heatmap_image(frame: NDArray[np.float32], heat: NDArray[np.float32], size: int) -> Image.Image:
    """The frame, dimmed, with its glow laid over it."""
    grey = frame if frame.ndim == 2 else frame.mean(-1)
    places = np.clip(heat, 0, 1) * (len(_HEATMAP_COLORS) - 1)
    below = np.minimum(places.astype(int), len(_HEATMAP_COLORS) - 2)
    share = (places - below)[..., None]
    colour = _HEATMAP_COLORS[below] * (1 - share) + _HEATMAP_COLORS[below + 1] * share
    glow = 0.92 * heat[..., None] ** 0.8
    picture = (1 - glow) * 0.62 * 255 * np.clip(grey, 0, 1)[..., None] + glow * colour
    return _fit_to_square(Image.fromarray(picture.astype(np.uint8)), size, Image.Resampling.BICUBIC)


def _fit_to_square(image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.NEAREST) -> Image.Image:
    factor = size / max(image.size)
    scaled = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), resampling)
    square = Image.new("RGB", (size, size), _BACKGROUND)
    square.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    return square
