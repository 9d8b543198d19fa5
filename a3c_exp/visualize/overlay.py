"""The policy, the value and the episode's numbers, drawn over the rendered picture on translucent panels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from a3c_exp.system.number_format import format_number
from a3c_exp.visualize.episode_frames import FrameInfo
from a3c_exp.visualize.policy_plots import ActionText, BarPlot, DensityPlot, PolicyPlot, ProbabilityGrid

Color = tuple[int, int, int, int]

TEXT_COLOR: Color = (240, 243, 250, 255)
LABEL_COLOR: Color = (172, 181, 200, 255)
_PANEL_COLOR: Color = (13, 16, 26, 218)
_AXIS_COLOR: Color = (58, 64, 82, 226)
_AREA_COLOR: Color = (52, 84, 132, 232)  # below a curve; like the axis color it is opaque enough to replace what it covers
_ACTION_COLOR: Color = (255, 183, 77, 255)  # of the action that was taken
_PROBABILITY_COLOR: Color = (104, 160, 236, 255)
_VALUE_COLOR: Color = (110, 231, 183, 255)
_SUPERSAMPLING = 3  # shapes are drawn so many times larger and reduced, which smooths their edges; text is smooth already

_MARGIN, _PADDING = 10, 10
_ROW_HEIGHT, _TEXT_SIZE, _SMALL_TEXT_SIZE = 18, 12, 10
_BAR_WIDTH, _PERCENT_WIDTH = 64, 34
_MAX_NAME_WIDTH = 110
_CURVE_HEIGHT = 30
_CELL_SIZE, _CELLS_PER_ROW = 11, 12
_NUMBERS_PANEL_WIDTH = 124
_MIN_WIDTH, _FULL_WIDTH, _FULL_HEIGHT = 400, 600, 400


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which every machine has. It has no Greek letters."""
    return ImageFont.load_default(size=size)


class _Panel:
    """Collects shapes and text on ``width`` by ``height`` points, and draws them ``scale`` pixels of the picture to a point."""

    def __init__(self, width: int, height: int, scale: int) -> None:
        self._scale = scale
        size = (width * scale * _SUPERSAMPLING, height * scale * _SUPERSAMPLING)
        self._shapes = Image.new("RGBA", size, (*_PANEL_COLOR[:3], 0))
        self._draw = ImageDraw.Draw(self._shapes)
        self._texts: list[tuple[tuple[float, float], str, int, Color, str]] = []
        self.box(0, 0, width, height, _PANEL_COLOR, 9)

    def _scaled(self, *lengths: float) -> list[float]:
        return [length * (self._scale * _SUPERSAMPLING) for length in lengths]

    def box(self, x: float, y: float, width: float, height: float, fill: Color, radius: float) -> None:
        """A filled rectangle with round corners."""
        left, top, right, bottom, radius = self._scaled(x, y, x + width, y + height, radius)
        if right - 1 >= left and bottom - 1 >= top:
            self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), radius, fill=fill)

    def line(self, points: Sequence[tuple[float, float]], fill: Color, width: float = 1.5) -> None:
        if len(points) > 1:
            (thickness,) = self._scaled(width)
            scaled = [tuple(self._scaled(*point)) for point in points]
            self._draw.line(scaled, fill=fill, width=max(1, round(thickness)), joint="curve")

    def area(self, points: Sequence[tuple[float, float]], fill: Color) -> None:
        """A filled polygon."""
        self._draw.polygon([tuple(self._scaled(*point)) for point in points], fill=fill)

    def dot(self, x: float, y: float, radius: float, fill: Color) -> None:
        self._draw.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), fill=fill)

    def text(self, x: float, y: float, text: str, size: int = _TEXT_SIZE, fill: Color = TEXT_COLOR, anchor: str = "lm") -> None:
        """``anchor`` as in Pillow: left, middle or right, then top, middle or baseline."""
        self._texts.append(((x * self._scale, y * self._scale), text, size * self._scale, fill, anchor))

    def image(self) -> Image.Image:
        image = self._shapes.reduce(_SUPERSAMPLING)
        draw = ImageDraw.Draw(image)
        for position, text, size, fill, anchor in self._texts:
            draw.text(position, text, font=font(size), fill=fill, anchor=anchor)
        return image


def overlay(picture: NDArray[np.uint8], frame_info: FrameInfo) -> NDArray[np.uint8]:
    """The picture ``[height, width, 3]`` with a panel over each upper corner; a small picture is enlarged first."""
    image = Image.fromarray(np.ascontiguousarray(picture[..., :3])).convert("RGBA")
    if image.width < _MIN_WIDTH:
        factor = -(-_MIN_WIDTH // image.width)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    scale = max(1, min(round(image.width / _FULL_WIDTH), round(image.height / _FULL_HEIGHT)))
    margin = _MARGIN * scale
    left = _policy_panel(frame_info.policy_plots, image.height // scale - 2 * _MARGIN, scale)
    if left is not None:
        image.alpha_composite(left, (margin, margin))
    right = _numbers_panel(frame_info, scale)
    image.alpha_composite(right, (image.width - margin - right.width, margin))
    return np.asarray(image.convert("RGB"))


def _policy_panel(plots: Sequence[PolicyPlot], max_height: int, scale: int) -> Image.Image | None:
    """As many plots as fit into ``max_height`` pixels."""
    if not plots:
        return None
    if len(plots) == 1 and isinstance(plots[0], BarPlot):
        plots = [replace(plots[0], label="")]  # there is nothing to tell it from
    heights = [_plot_height(plot) for plot in plots]
    room = max_height - 2 * _PADDING - _ROW_HEIGHT
    num_shown = len(plots)
    while num_shown > 1 and sum(heights[:num_shown]) + (0 if num_shown == len(plots) else _ROW_HEIGHT) > room:
        num_shown -= 1
    num_omitted = len(plots) - num_shown
    names = [name for plot in plots[:num_shown] if isinstance(plot, BarPlot) for name in plot.names]
    name_width = min(_MAX_NAME_WIDTH, max([24, *(font(_TEXT_SIZE).getlength(name) for name in names)]))
    width = round(2 * _PADDING + name_width + 8 + _BAR_WIDTH + _PERCENT_WIDTH)
    height = 2 * _PADDING + _ROW_HEIGHT - 4 + sum(heights[:num_shown]) + (_ROW_HEIGHT if num_omitted else 0)
    panel = _Panel(width, height, scale)
    panel.text(_PADDING, _PADDING + 5, "POLICY", _SMALL_TEXT_SIZE, LABEL_COLOR)
    y = float(_PADDING + _ROW_HEIGHT - 4)
    for plot, plot_height in zip(plots[:num_shown], heights, strict=False):
        match plot:
            case BarPlot():
                _draw_bars(panel, plot, y, width, name_width)
            case ProbabilityGrid():
                _draw_grid(panel, plot, y, width)
            case DensityPlot():
                _draw_density(panel, plot, y, width)
            case ActionText():
                _draw_row(panel, y, width, plot.label, plot.text)
        y += plot_height
    if num_omitted:
        panel.text(_PADDING, y + _ROW_HEIGHT / 2, f"and {num_omitted} more", _SMALL_TEXT_SIZE, LABEL_COLOR)
    return panel.image()


def _plot_height(plot: PolicyPlot) -> int:
    match plot:
        case BarPlot():
            return _ROW_HEIGHT * (len(plot.names) + bool(plot.label))
        case ProbabilityGrid():
            return _ROW_HEIGHT + (_CELL_SIZE + 2) * -(-len(plot.probabilities) // _CELLS_PER_ROW) + 3
        case DensityPlot():
            return _ROW_HEIGHT + _CURVE_HEIGHT + 6
    return _ROW_HEIGHT


def _draw_row(panel: _Panel, y: float, width: int, label: str, value: str, label_width: float = 60) -> None:
    value = _ellipsize(value, width - 2 * _PADDING - min(label_width, font(_TEXT_SIZE).getlength(label)) - 6)
    panel.text(_PADDING, y + _ROW_HEIGHT / 2, _ellipsize(label, label_width), _TEXT_SIZE, LABEL_COLOR)
    panel.text(width - _PADDING, y + _ROW_HEIGHT / 2, value, _TEXT_SIZE, anchor="rm")


def _draw_bars(panel: _Panel, plot: BarPlot, y: float, width: int, name_width: float) -> None:
    if plot.label:
        panel.text(_PADDING, y + _ROW_HEIGHT / 2, plot.label, _TEXT_SIZE, LABEL_COLOR)
        y += _ROW_HEIGHT
    for i, (name, probability) in enumerate(zip(plot.names, plot.probabilities, strict=True)):
        selected = i in plot.selected
        text_color = TEXT_COLOR if selected else LABEL_COLOR
        middle = y + _ROW_HEIGHT * (i + 0.5)
        panel.text(_PADDING, middle, _ellipsize(name, name_width), _TEXT_SIZE, text_color)
        left, length = _PADDING + name_width + 8, _BAR_WIDTH * probability
        panel.box(left, middle - 4, _BAR_WIDTH, 8, _AXIS_COLOR, 4)
        if length >= 0.5:
            panel.box(left, middle - 4, length, 8, _ACTION_COLOR if selected else _PROBABILITY_COLOR, min(4.0, length / 2))
        panel.text(width - _PADDING, middle, f"{100 * probability:.0f}%", _TEXT_SIZE, text_color, "rm")


def _draw_grid(panel: _Panel, plot: ProbabilityGrid, y: float, width: int) -> None:
    summary = f"{len(plot.selected)} on"
    if len(plot.selected) == 1:
        (index,) = plot.selected
        summary = f"{plot.start + index}: {100 * plot.probabilities[index]:.0f}%"
    _draw_row(panel, y, width, plot.label or "action", summary, label_width=width - 2 * _PADDING - 66)
    y += _ROW_HEIGHT
    step = min(_CELL_SIZE + 2.0, (width - 2 * _PADDING) / _CELLS_PER_ROW)
    for i, probability in enumerate(plot.probabilities):
        x, top = _PADDING + step * (i % _CELLS_PER_ROW), y + (_CELL_SIZE + 2) * (i // _CELLS_PER_ROW)
        if i in plot.selected:
            panel.box(x - 1, top - 1, step, _CELL_SIZE + 2, _ACTION_COLOR, 3)
        # Steps of the square root look more even to the eye than steps of the probability.
        pairs = zip(_AXIS_COLOR, _PROBABILITY_COLOR, strict=True)
        red, green, blue, alpha = (round(low + (high - low) * probability**0.5) for low, high in pairs)
        panel.box(x, top, step - 2, _CELL_SIZE, (red, green, blue, alpha), 2)


def _draw_density(panel: _Panel, plot: DensityPlot, y: float, width: int) -> None:
    _draw_row(panel, y, width, plot.label, f"{_format(plot.mean)} ± {_format(plot.std)}")
    left, right = float(_PADDING), float(width - _PADDING)
    bottom, top = y + _ROW_HEIGHT + _CURVE_HEIGHT - 1, y + _ROW_HEIGHT + 2
    xs = [left + (right - left) * i / (len(plot.heights) - 1) for i in range(len(plot.heights))]
    curve = [(x, bottom - (bottom - top) * height) for x, height in zip(xs, plot.heights, strict=True)]
    panel.area([(left, bottom), *curve, (right, bottom)], _AREA_COLOR)
    panel.line([(left, bottom), (right, bottom)], _AXIS_COLOR, 1)
    panel.line(curve, _PROBABILITY_COLOR, 1.3)

    def x_of(value: float) -> float:
        return left + (right - left) * (value - plot.low) / (plot.high - plot.low)

    if plot.low < 0 < plot.high:
        panel.line([(x_of(0.0), bottom - 3), (x_of(0.0), bottom + 3)], LABEL_COLOR, 1)
    panel.line([(x_of(plot.action), top), (x_of(plot.action), bottom)], _ACTION_COLOR, 1.5)
    panel.dot(x_of(plot.action), bottom, 3, _ACTION_COLOR)


def _numbers_panel(frame_info: FrameInfo, scale: int) -> Image.Image:
    width, values = _NUMBERS_PANEL_WIDTH, frame_info.values
    rows = [("return", _format(frame_info.return_)), *((name, _format(value)) for name, value in frame_info.env_info.items())]
    rows.append(("step", f"{frame_info.step:,}"))
    panel = _Panel(width, 2 * _PADDING + _ROW_HEIGHT + 30 + _ROW_HEIGHT * len(rows), scale)
    y = float(_PADDING)
    panel.text(_PADDING, y + 7, "V(s)", _TEXT_SIZE, LABEL_COLOR)
    panel.text(width - _PADDING, y + 7, _format(values[-1]) if values else "", 15, _VALUE_COLOR, "rm")
    _draw_values(panel, values, y + _ROW_HEIGHT, 24)
    y += _ROW_HEIGHT + 30
    for name, value in rows:
        _draw_row(panel, y, width, name, value, label_width=50)
        y += _ROW_HEIGHT
    return panel.image()


def _draw_values(panel: _Panel, values: Sequence[float], y: float, height: float) -> None:
    """The latest values as a line that grows from the left and then scrolls."""
    left, right = _PADDING, _NUMBERS_PANEL_WIDTH - _PADDING
    panel.line([(left, y + height), (right, y + height)], _AXIS_COLOR, 1)
    if len(values) < 2:
        return
    low, high = min(values), max(values)
    span = max(high - low, 0.02 * max(abs(low), abs(high)), 1e-9)  # or rounding errors would fill the plot
    middle = (low + high) / 2
    step = (right - left) / max(len(values) - 1, 60)
    points = [(left + step * i, y + height / 2 - (value - middle) / span * (height - 6)) for i, value in enumerate(values)]
    panel.line(points, _VALUE_COLOR, 1.5)
    panel.dot(*points[-1], 2.2, _VALUE_COLOR)


def _ellipsize(text: str, width: float) -> str:
    shortened = (text[:length] + "…" for length in range(len(text) - 1, 0, -1))
    return next((one for one in (text, *shortened) if font(_TEXT_SIZE).getlength(one) <= width), "…")


def _format(value: float) -> str:
    return f"{value:.2e}" if abs(value) >= 1e6 else format_number(value)
