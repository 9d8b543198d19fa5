"""The policy, the value and how the episode goes, laid over the task's picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a3c_exp.visualize.episode_info import Glance
from a3c_exp.visualize.panel import BRIGHT, COOL, DIM, FAINT, MINT, SHADE, WARM, Card, text_width
from a3c_exp.visualize.policy_plots import Bars, Cells, Curve, Part, Taken

_MARGIN, _PAD = 10, 10
_ROW, _TEXT, _SMALL = 18, 12, 10
_BAR, _PERCENT = 64, 34
_WIDEST_NAME = 110
_CURVE = 30
_CELL, _CELLS_A_LINE = 11, 12
_RIGHT = 124
_LEAST_WIDTH, _FULL_WIDTH, _FULL_HEIGHT = 400, 600, 400


def overlay(picture: NDArray[np.uint8], glance: Glance) -> NDArray[np.uint8]:
    """The picture ``[height, width, 3]`` with two cards over its upper corners; a small picture is enlarged first."""
    image, scale = _canvas(picture)
    left = _policy_card(glance.parts, image.height // scale - 2 * _MARGIN, scale)
    right = _numbers_card(glance, scale)
    margin = _MARGIN * scale
    if left is not None:
        image.alpha_composite(left, (margin, margin))
    image.alpha_composite(right, (image.width - margin - right.width, margin))
    return np.asarray(image.convert("RGB"))


def _canvas(picture: NDArray[np.uint8]) -> tuple[Image.Image, int]:
    """Room for both cards beside each other, and how large they should be drawn."""
    image = Image.fromarray(np.ascontiguousarray(picture[..., :3])).convert("RGBA")
    if image.width < _LEAST_WIDTH:
        times = -(-_LEAST_WIDTH // image.width)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    return image, max(1, min(round(image.width / _FULL_WIDTH), round(image.height / _FULL_HEIGHT)))


def _policy_card(parts: Sequence[Part], most: int, scale: int) -> Image.Image | None:
    """As many parts as fit into ``most`` pixels."""
    if not parts:
        return None
    alone = len(parts) == 1
    heights = [_height(part, alone) for part in parts]
    room = most - 2 * _PAD - _ROW
    shown = len(parts)
    while shown > 1 and sum(heights[:shown]) + (0 if shown == len(parts) else _ROW) > room:
        shown -= 1
    left_out = len(parts) - shown
    names = [name for part in parts[:shown] if isinstance(part, Bars) for name in part.names]
    name_width = min(_WIDEST_NAME, max([24, *(text_width(name, _TEXT) for name in names)]))
    width = round(2 * _PAD + name_width + 8 + _BAR + _PERCENT)
    height = 2 * _PAD + _ROW - 4 + sum(heights[:shown]) + (_ROW if left_out else 0)
    card = Card(width, height, scale)
    card.text(_PAD, _PAD + 5, "POLICY", _SMALL, DIM)
    y = float(_PAD + _ROW - 4)
    for part, tall in zip(parts[:shown], heights, strict=False):
        _draw_part(card, part, y, width, name_width, alone)
        y += tall
    if left_out:
        card.text(_PAD, y + _ROW / 2, f"and {left_out} more", _SMALL, DIM)
    return card.image()


def _height(part: Part, alone: bool) -> int:
    match part:
        case Bars():
            return _ROW * len(part.names) + (_ROW if part.label and not alone else 0)
        case Cells():
            return _ROW + (_CELL + 2) * -(-len(part.probabilities) // _CELLS_A_LINE) + 3
        case Curve():
            return _ROW + _CURVE + 6
    return _ROW


def _draw_part(card: Card, part: Part, y: float, width: int, name_width: float, alone: bool) -> None:
    match part:
        case Bars():
            if part.label and not alone:
                card.text(_PAD, y + _ROW / 2, part.label, _TEXT, DIM)
                y += _ROW
            _draw_bars(card, part, y, width, name_width)
        case Cells():
            _draw_cells(card, part, y, width)
        case Curve():
            _draw_curve(card, part, y, width)
        case Taken():
            card.text(_PAD, y + _ROW / 2, _cut(part.label, 60), _TEXT, DIM)
            card.text(width - _PAD, y + _ROW / 2, _cut(part.text, width - 2 * _PAD - 66), _TEXT, anchor="rm")


def _draw_bars(card: Card, part: Bars, y: float, width: int, name_width: float) -> None:
    for i, (name, chance) in enumerate(zip(part.names, part.probabilities, strict=True)):
        taken = i in part.taken
        middle = y + _ROW * (i + 0.5)
        card.text(_PAD, middle, _cut(name, name_width), _TEXT, BRIGHT if taken else DIM)
        left = _PAD + name_width + 8
        card.box(left, middle - 4, _BAR, 8, FAINT, 4)
        long = _BAR * chance
        if long >= 0.5:
            card.box(left, middle - 4, long, 8, WARM if taken else COOL, min(4.0, long / 2))
        card.text(width - _PAD, middle, f"{100 * chance:.0f}%", _TEXT, BRIGHT if taken else DIM, "rm")


def _draw_cells(card: Card, part: Cells, y: float, width: int) -> None:
    said = f"{len(part.taken)} on"
    if len(part.taken) == 1:
        (one,) = part.taken
        said = f"{part.start + one}: {100 * part.probabilities[one]:.0f}%"
    card.text(_PAD, y + _ROW / 2, _cut(part.label or "action", width - 2 * _PAD - 66), _TEXT, DIM)
    card.text(width - _PAD, y + _ROW / 2, said, _TEXT, anchor="rm")
    y += _ROW
    step = min(_CELL + 2.0, (width - 2 * _PAD) / _CELLS_A_LINE)
    for i, chance in enumerate(part.probabilities):
        x, top = _PAD + step * (i % _CELLS_A_LINE), y + (_CELL + 2) * (i // _CELLS_A_LINE)
        if i in part.taken:
            card.box(x - 1, top - 1, step, _CELL + 2, WARM, 3)
        # The eye sees the square root of a share more evenly than the share.
        card.box(x, top, step - 2, _CELL, _between(FAINT, COOL, chance**0.5), 2)


def _draw_curve(card: Card, part: Curve, y: float, width: int) -> None:
    card.text(_PAD, y + _ROW / 2, _cut(part.label, 60), _TEXT, DIM)
    card.text(width - _PAD, y + _ROW / 2, f"{_figure(part.mean)} ± {_figure(part.std)}", _TEXT, anchor="rm")
    left, right = float(_PAD), float(width - _PAD)
    ground, top = y + _ROW + _CURVE - 1, y + _ROW + 2
    xs = [left + (right - left) * i / (len(part.heights) - 1) for i in range(len(part.heights))]
    hill = [(x, ground - (ground - top) * height) for x, height in zip(xs, part.heights, strict=True)]
    card.area([(left, ground), *hill, (right, ground)], SHADE)
    card.line([(left, ground), (right, ground)], FAINT, 1)
    card.line(hill, COOL, 1.3)

    def place(value: float) -> float:
        return left + (right - left) * (value - part.low) / (part.high - part.low)

    if part.low < 0 < part.high:
        card.line([(place(0.0), ground - 3), (place(0.0), ground + 3)], DIM, 1)
    card.line([(place(part.action), top), (place(part.action), ground)], WARM, 1.5)
    card.dot(place(part.action), ground, 3, WARM)


def _numbers_card(glance: Glance, scale: int) -> Image.Image:
    lines = [*glance.facts.items()]
    height = 2 * _PAD + _ROW + 30 + _ROW * (len(lines) + 2)
    card = Card(_RIGHT, height, scale)
    y = float(_PAD)
    card.text(_PAD, y + 7, "V(s)", _TEXT, DIM)
    card.text(_RIGHT - _PAD, y + 7, _figure(glance.values[-1]) if glance.values else "", 15, MINT, "rm")
    _draw_values(card, glance.values, y + _ROW, 24)
    y += _ROW + 30
    rows = [
        ("return", _figure(glance.return_), BRIGHT),
        *((name, _figure(value), BRIGHT) for name, value in lines),
        ("step", f"{glance.step:,}", BRIGHT),
    ]
    for name, value, colour in rows:
        card.text(_PAD, y + _ROW / 2, _cut(name, 50), _TEXT, DIM)
        card.text(_RIGHT - _PAD, y + _ROW / 2, value, _TEXT, colour, "rm")
        y += _ROW
    return card.image()


def _draw_values(card: Card, values: Sequence[float], y: float, height: float) -> None:
    """The latest values as a line that grows from the left and then moves."""
    left, right = _PAD, _RIGHT - _PAD
    card.line([(left, y + height), (right, y + height)], FAINT, 1)
    if len(values) < 2:
        return
    low, high = min(values), max(values)
    span = max(high - low, 0.02 * max(abs(low), abs(high)), 1e-9)  # or rounding would look like mountains
    middle = (low + high) / 2
    step = (right - left) / max(len(values) - 1, 60)
    points = [(left + step * i, y + height / 2 - (value - middle) / span * (height - 6)) for i, value in enumerate(values)]
    card.line(points, MINT, 1.5)
    card.dot(*points[-1], 2.2, MINT)


def _between(low: tuple[int, ...], high: tuple[int, ...], share: float) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue, alpha


def _cut(text: str, width: float) -> str:
    """As much of a text as fits."""
    if text_width(text, _TEXT) <= width:
        return text
    while text and text_width(text + "…", _TEXT) > width:
        text = text[:-1]
    return text + "…"


def _figure(value: float) -> str:
    """Few digits, and of a steady width: ``-3.21``, ``57.3``, ``-812``."""
    size = abs(value)
    if size >= 1e6:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
