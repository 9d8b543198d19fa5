"""The policy, the value and how the episode goes, laid over the task's picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a3c_exp.visualize.episode_info import FrameInfo
from a3c_exp.visualize.panel import (
    ACTION_COLOR,
    AREA_COLOR,
    AXIS_COLOR,
    LABEL_COLOR,
    PROBABILITY_COLOR,
    TEXT_COLOR,
    VALUE_COLOR,
    OverlayPanel,
    text_width,
)
from a3c_exp.visualize.policy_plots import ActionText, BarPlot, DensityPlot, PolicyPlot, ProbabilityGrid

_MARGIN, _PADDING = 10, 10
_ROW_HEIGHT, _TEXT_SIZE, _SMALL_TEXT_SIZE = 18, 12, 10
_BAR_WIDTH, _PERCENT_WIDTH = 64, 34
_MAX_NAME_WIDTH = 110
_CURVE_HEIGHT = 30
_CELL_SIZE, _CELLS_PER_ROW = 11, 12
_NUMBERS_PANEL_WIDTH = 124
_MIN_WIDTH, _FULL_WIDTH, _FULL_HEIGHT = 400, 600, 400


def overlay(picture: NDArray[np.uint8], frame_info: FrameInfo) -> NDArray[np.uint8]:
    """The picture ``[height, width, 3]`` with two cards over its upper corners; a small picture is enlarged first."""
    image, scale = _canvas(picture)
    left = _policy_panel(frame_info.policy_plots, image.height // scale - 2 * _MARGIN, scale)
    right = _numbers_panel(frame_info, scale)
    margin = _MARGIN * scale
    if left is not None:
        image.alpha_composite(left, (margin, margin))
    image.alpha_composite(right, (image.width - margin - right.width, margin))
    return np.asarray(image.convert("RGB"))


def _canvas(picture: NDArray[np.uint8]) -> tuple[Image.Image, int]:
    """Room for both cards beside each other, and how large they should be drawn."""
    image = Image.fromarray(np.ascontiguousarray(picture[..., :3])).convert("RGBA")
    if image.width < _MIN_WIDTH:
        times = -(-_MIN_WIDTH // image.width)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    return image, max(1, min(round(image.width / _FULL_WIDTH), round(image.height / _FULL_HEIGHT)))


def _policy_panel(plots: Sequence[PolicyPlot], max_height: int, scale: int) -> Image.Image | None:
    """As many parts as fit into ``max_height`` pixels."""
    if not plots:
        return None
    alone = len(plots) == 1
    heights = [_plot_height(part, alone) for part in plots]
    room = max_height - 2 * _PADDING - _ROW_HEIGHT
    shown = len(plots)
    while shown > 1 and sum(heights[:shown]) + (0 if shown == len(plots) else _ROW_HEIGHT) > room:
        shown -= 1
    left_out = len(plots) - shown
    names = [name for part in plots[:shown] if isinstance(part, BarPlot) for name in part.names]
    name_width = min(_MAX_NAME_WIDTH, max([24, *(text_width(name, _TEXT_SIZE) for name in names)]))
    width = round(2 * _PADDING + name_width + 8 + _BAR_WIDTH + _PERCENT_WIDTH)
    height = 2 * _PADDING + _ROW_HEIGHT - 4 + sum(heights[:shown]) + (_ROW_HEIGHT if left_out else 0)
    card = OverlayPanel(width, height, scale)
    card.text(_PADDING, _PADDING + 5, "POLICY", _SMALL_TEXT_SIZE, LABEL_COLOR)
    y = float(_PADDING + _ROW_HEIGHT - 4)
    for part, tall in zip(plots[:shown], heights, strict=False):
        _draw_plot(card, part, y, width, name_width, alone)
        y += tall
    if left_out:
        card.text(_PADDING, y + _ROW_HEIGHT / 2, f"and {left_out} more", _SMALL_TEXT_SIZE, LABEL_COLOR)
    return card.image()


def _plot_height(plot: PolicyPlot, alone: bool) -> int:
    match plot:
        case BarPlot():
            return _ROW_HEIGHT * len(plot.names) + (_ROW_HEIGHT if plot.label and not alone else 0)
        case ProbabilityGrid():
            return _ROW_HEIGHT + (_CELL_SIZE + 2) * -(-len(plot.probabilities) // _CELLS_PER_ROW) + 3
        case DensityPlot():
            return _ROW_HEIGHT + _CURVE_HEIGHT + 6
    return _ROW_HEIGHT


def _draw_plot(panel: OverlayPanel, plot: PolicyPlot, y: float, width: int, name_width: float, alone: bool) -> None:
    match plot:
        case BarPlot():
            if plot.label and not alone:
                panel.text(_PADDING, y + _ROW_HEIGHT / 2, plot.label, _TEXT_SIZE, LABEL_COLOR)
                y += _ROW_HEIGHT
            _draw_bars(panel, plot, y, width, name_width)
        case ProbabilityGrid():
            _draw_cells(panel, plot, y, width)
        case DensityPlot():
            _draw_curve(panel, plot, y, width)
        case ActionText():
            panel.text(_PADDING, y + _ROW_HEIGHT / 2, _ellipsize(plot.label, 60), _TEXT_SIZE, LABEL_COLOR)
            panel.text(
                width - _PADDING, y + _ROW_HEIGHT / 2, _ellipsize(plot.text, width - 2 * _PADDING - 66), _TEXT_SIZE, anchor="rm"
            )


def _draw_bars(panel: OverlayPanel, plot: BarPlot, y: float, width: int, name_width: float) -> None:
    for i, (name, chance) in enumerate(zip(plot.names, plot.probabilities, strict=True)):
        taken = i in plot.selected
        middle = y + _ROW_HEIGHT * (i + 0.5)
        panel.text(_PADDING, middle, _ellipsize(name, name_width), _TEXT_SIZE, TEXT_COLOR if taken else LABEL_COLOR)
        left = _PADDING + name_width + 8
        panel.box(left, middle - 4, _BAR_WIDTH, 8, AXIS_COLOR, 4)
        long = _BAR_WIDTH * chance
        if long >= 0.5:
            panel.box(left, middle - 4, long, 8, ACTION_COLOR if taken else PROBABILITY_COLOR, min(4.0, long / 2))
        panel.text(width - _PADDING, middle, f"{100 * chance:.0f}%", _TEXT_SIZE, TEXT_COLOR if taken else LABEL_COLOR, "rm")


def _draw_cells(panel: OverlayPanel, plot: ProbabilityGrid, y: float, width: int) -> None:
    said = f"{len(plot.selected)} on"
    if len(plot.selected) == 1:
        (one,) = plot.selected
        said = f"{plot.start + one}: {100 * plot.probabilities[one]:.0f}%"
    panel.text(
        _PADDING, y + _ROW_HEIGHT / 2, _ellipsize(plot.label or "action", width - 2 * _PADDING - 66), _TEXT_SIZE, LABEL_COLOR
    )
    panel.text(width - _PADDING, y + _ROW_HEIGHT / 2, said, _TEXT_SIZE, anchor="rm")
    y += _ROW_HEIGHT
    step = min(_CELL_SIZE + 2.0, (width - 2 * _PADDING) / _CELLS_PER_ROW)
    for i, chance in enumerate(plot.probabilities):
        x, top = _PADDING + step * (i % _CELLS_PER_ROW), y + (_CELL_SIZE + 2) * (i // _CELLS_PER_ROW)
        if i in plot.selected:
            panel.box(x - 1, top - 1, step, _CELL_SIZE + 2, ACTION_COLOR, 3)
        # The eye sees the square root of a share more evenly than the share.
        panel.box(x, top, step - 2, _CELL_SIZE, _blend(AXIS_COLOR, PROBABILITY_COLOR, chance**0.5), 2)


def _draw_curve(panel: OverlayPanel, plot: DensityPlot, y: float, width: int) -> None:
    panel.text(_PADDING, y + _ROW_HEIGHT / 2, _ellipsize(plot.label, 60), _TEXT_SIZE, LABEL_COLOR)
    panel.text(
        width - _PADDING,
        y + _ROW_HEIGHT / 2,
        f"{_format_number(plot.mean)} ± {_format_number(plot.std)}",
        _TEXT_SIZE,
        anchor="rm",
    )
    left, right = float(_PADDING), float(width - _PADDING)
    ground, top = y + _ROW_HEIGHT + _CURVE_HEIGHT - 1, y + _ROW_HEIGHT + 2
    xs = [left + (right - left) * i / (len(plot.heights) - 1) for i in range(len(plot.heights))]
    hill = [(x, ground - (ground - top) * height) for x, height in zip(xs, plot.heights, strict=True)]
    panel.area([(left, ground), *hill, (right, ground)], AREA_COLOR)
    panel.line([(left, ground), (right, ground)], AXIS_COLOR, 1)
    panel.line(hill, PROBABILITY_COLOR, 1.3)

    def place(value: float) -> float:
        return left + (right - left) * (value - plot.low) / (plot.high - plot.low)

    if plot.low < 0 < plot.high:
        panel.line([(place(0.0), ground - 3), (place(0.0), ground + 3)], LABEL_COLOR, 1)
    panel.line([(place(plot.action), top), (place(plot.action), ground)], ACTION_COLOR, 1.5)
    panel.dot(place(plot.action), ground, 3, ACTION_COLOR)


def _numbers_panel(frame_info: FrameInfo, scale: int) -> Image.Image:
    lines = [*frame_info.env_info.items()]
    height = 2 * _PADDING + _ROW_HEIGHT + 30 + _ROW_HEIGHT * (len(lines) + 2)
    card = OverlayPanel(_NUMBERS_PANEL_WIDTH, height, scale)
    y = float(_PADDING)
    card.text(_PADDING, y + 7, "V(s)", _TEXT_SIZE, LABEL_COLOR)
    card.text(
        _NUMBERS_PANEL_WIDTH - _PADDING,
        y + 7,
        _format_number(frame_info.values[-1]) if frame_info.values else "",
        15,
        VALUE_COLOR,
        "rm",
    )
    _draw_values(card, frame_info.values, y + _ROW_HEIGHT, 24)
    y += _ROW_HEIGHT + 30
    rows = [
        ("return", _format_number(frame_info.return_), TEXT_COLOR),
        *((name, _format_number(value), TEXT_COLOR) for name, value in lines),
        ("step", f"{frame_info.step:,}", TEXT_COLOR),
    ]
    for name, value, colour in rows:
        card.text(_PADDING, y + _ROW_HEIGHT / 2, _ellipsize(name, 50), _TEXT_SIZE, LABEL_COLOR)
        card.text(_NUMBERS_PANEL_WIDTH - _PADDING, y + _ROW_HEIGHT / 2, value, _TEXT_SIZE, colour, "rm")
        y += _ROW_HEIGHT
    return card.image()


def _draw_values(panel: OverlayPanel, values: Sequence[float], y: float, height: float) -> None:
    """The latest values as a line that grows from the left and then moves."""
    left, right = _PADDING, _NUMBERS_PANEL_WIDTH - _PADDING
    panel.line([(left, y + height), (right, y + height)], AXIS_COLOR, 1)
    if len(values) < 2:
        return
    low, high = min(values), max(values)
    span = max(high - low, 0.02 * max(abs(low), abs(high)), 1e-9)  # or rounding would look like mountains
    middle = (low + high) / 2
    step = (right - left) / max(len(values) - 1, 60)
    points = [(left + step * i, y + height / 2 - (value - middle) / span * (height - 6)) for i, value in enumerate(values)]
    panel.line(points, VALUE_COLOR, 1.5)
    panel.dot(*points[-1], 2.2, VALUE_COLOR)


def _blend(low: tuple[int, ...], high: tuple[int, ...], share: float) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue, alpha


def _ellipsize(text: str, width: float) -> str:
    """As much of a text as fits."""
    if text_width(text, _TEXT_SIZE) <= width:
        return text
    while text and text_width(text + "…", _TEXT_SIZE) > width:
        text = text[:-1]
    return text + "…"


def _format_number(value: float) -> str:
    """Few digits, and of a steady width: ``-3.21``, ``57.3``, ``-812``."""
    size = abs(value)
    if size >= 1e6:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
