"""All there is to see of one moment: the task's picture, what the network sees of it, and where it looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from a3c_exp.evaluate.evaluator import Decision
from a3c_exp.models.base import ActorCritic
from a3c_exp.visualize.episode_info import Glance
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.panel import BRIGHT, DIM, font
from a3c_exp.visualize.saliency import saliency

_BACKGROUND = (13, 16, 26)
_GAP, _CAPTION = 12, 20
_MOST_FRAMES = 4
_HEAT = np.array([(0, 0, 0), (86, 15, 109), (187, 55, 84), (249, 142, 8), (252, 255, 164)], np.float64)
"""Five colours of matplotlib's "inferno", by Nathaniel Smith and Stéfan van der Walt (CC0)."""


@dataclass(frozen=True)
class Eyes:
    """An observation as pictures.

    Attributes:
        frames: each ``[height, width]`` or ``[height, width, 3]``, from 0 to 1, the latest last.
        channel_axis: of the observation; ``None`` if it has no channels.
    """

    frames: list[NDArray[np.float32]]
    channel_axis: int | None


def eyes(observation: NDArray[np.float32]) -> Eyes | None:
    """What a network sees, if that is a picture: ``[height, width]``, or with channels before or behind.

    Three channels are the colours of one picture, four those of one with an opacity if they come last; all others are grey
    frames, the latest last.
    """
    if observation.ndim not in (2, 3) or min(sorted(observation.shape)[-2:]) < 8:
        return None
    low, high = float(observation.min()), float(observation.max())
    shown = observation if low >= 0 and high <= 1 else (observation - low) / max(high - low, 1e-9)
    if observation.ndim == 2:
        return Eyes([shown], None)
    last = shown.shape[2] < shown.shape[0]
    first_last = np.moveaxis(shown, 2, 0) if last else shown
    axis = 2 if last else 0
    if len(first_last) == 3 or (len(first_last) == 4 and last):
        return Eyes([np.moveaxis(first_last[:3], 0, 2)], axis)
    return Eyes(list(first_last), axis)


class Figure:
    """Puts one moment's pictures together. For observations that are no pictures it is the overlay alone.

    Args:
        model: whose gradients say where it looks.
    """

    def __init__(self, model: ActorCritic) -> None:
        self._model = model

    def __call__(self, picture: NDArray[np.uint8], glance: Glance, decision: Decision) -> NDArray[np.uint8]:
        """The figure ``[height, width, 3]``; of the same size for every moment of a task."""
        shown = overlay(picture, glance)
        seen = eyes(decision.observation.cpu().numpy())
        if seen is None:
            return shown
        where = saliency(self._model, decision, seen.channel_axis)
        height, width = shown.shape[:2]
        frames = seen.frames[-_MOST_FRAMES:]
        small = min((width - _GAP * (len(frames) - 1)) // len(frames), height // 2)
        total = height + _CAPTION + small + _CAPTION
        large = (total - _GAP - 2 * _CAPTION) // 2
        canvas = Image.new("RGB", (_GAP * 3 + width + large, total + 2 * _GAP), _BACKGROUND)
        canvas.paste(Image.fromarray(shown), (_GAP, _GAP))
        draw = ImageDraw.Draw(canvas)
        top = _GAP + height + _CAPTION
        for place, frame in enumerate(frames):
            x = _GAP + place * (small + _GAP)
            canvas.paste(_grey(frame, small), (x, top))
            ago = len(frames) - 1 - place
            name = "now" if ago == 0 else f"{ago} step{'s' if ago > 1 else ''} ago"
            draw.text((x + small / 2, top + small + _CAPTION / 2), name, DIM[:3], font(11), "mm")
        draw.text((_GAP + width / 2, top - _CAPTION / 2), "what the network sees", BRIGHT[:3], font(12), "mm")
        x, y = 2 * _GAP + width, _GAP
        for name, heat in (("what decides the action", where.policy), ("what decides the value", where.value)):
            canvas.paste(_heated(frames[-1], heat, large), (x, y))
            draw.text((x + large / 2, y + large + _CAPTION / 2), name, BRIGHT[:3], font(12), "mm")
            y += large + _CAPTION + _GAP
        return np.asarray(canvas)


def _grey(frame: NDArray[np.float32], size: int) -> Image.Image:
    """A square of ``size`` pixels; what is not square is fitted into it."""
    image = Image.fromarray((255 * np.clip(frame, 0, 1)).astype(np.uint8)).convert("RGB")
    return _fitted(image, size)


def _heated(frame: NDArray[np.float32], heat: NDArray[np.float32], size: int) -> Image.Image:
    """The frame, dimmed, with its glow laid over it."""
    grey = frame if frame.ndim == 2 else frame.mean(-1)
    places = np.clip(heat, 0, 1) * (len(_HEAT) - 1)
    below = np.minimum(places.astype(int), len(_HEAT) - 2)
    share = (places - below)[..., None]
    colour = _HEAT[below] * (1 - share) + _HEAT[below + 1] * share
    glow = 0.92 * heat[..., None] ** 0.8
    picture = (1 - glow) * 0.62 * 255 * np.clip(grey, 0, 1)[..., None] + glow * colour
    return _fitted(Image.fromarray(picture.astype(np.uint8)), size, Image.Resampling.BICUBIC)


def _fitted(image: Image.Image, size: int, how: Image.Resampling = Image.Resampling.NEAREST) -> Image.Image:
    factor = size / max(image.size)
    scaled = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), how)
    square = Image.new("RGB", (size, size), _BACKGROUND)
    square.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    return square
