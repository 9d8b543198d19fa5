"""What distinguishes the lines of a figure: labels at their ends, and a legend for a figure that stands alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.aggregate import Curve
from a3c_exp.report.figures.style import BOTTOM, CHARACTER_WIDTH, TEXT_SIZE, TOP, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LABEL_STYLE: dict[str, Any] = {"va": "center", "weight": "bold", "annotation_clip": False}


@dataclass(frozen=True)
class EndLabel:
    """Where a configuration's lines end, and what is to stand there."""

    x: float
    y: float
    text: str
    color: str


def end_label(curves: Sequence[Curve], text: str, color: str) -> EndLabel:
    """Where the lines of ``curves`` that got farthest end, on average."""
    farthest = max(item.x[-1] for item in curves)
    return EndLabel(farthest, float(np.mean([item.y[-1] for item in curves if item.x[-1] > 0.9 * farthest])), text, color)


def peak_label(curve: Curve, text: str, color: str) -> EndLabel:
    """The right corner of a histogram's highest step: its ends lie on the axis, where labels would overlap."""
    at = int(curve.y.argmax())
    return EndLabel(float(curve.x[at]) + 0.5, float(curve.y[at]), text, color)


def draw_end_labels(figure: "Figure", axes: "Axes", labels: Sequence[EndLabel]) -> None:
    """Write each label next to the end of its line, pushed apart along the right edge where they would overlap."""
    figure.draw_without_rendering()  # settles the limits
    to_points, gap = 72.0 / figure.dpi, TEXT_SIZE + 1.5
    low, high = (edge * to_points for edge in axes.get_window_extent().intervaly)
    right = axes.get_xlim()[1]
    early = [end for end in labels if end.x < 0.95 * right]
    taken: list[tuple[float, float]] = []
    for end in early:  # the legend is there for those that find no room
        x, y = axes.transData.transform((end.x, end.y)) * to_points
        if all(abs(x - other) > len(end.text) * CHARACTER_WIDTH + 6 or abs(y - height) > gap for other, height in taken):
            taken.append((x, y))
            axes.annotate(end.text, (end.x, end.y), (4, 0), textcoords="offset points", color=end.color, **_LABEL_STYLE)
    placed = [(float(axes.transData.transform((right, end.y))[1]) * to_points, end) for end in labels if end not in early]
    placed.sort(key=lambda pair: pair[0])
    heights: list[float] = []
    for height, _ in placed:
        heights.append(max(min(max(height, low), high), heights[-1] + gap if heights else -math.inf))
    for index in reversed(range(len(heights))):
        heights[index] = min(heights[index], high - gap * (len(heights) - 1 - index))
    for height, (_, end) in zip(heights, placed, strict=True):
        share = (height - low) / (high - low)
        axes.annotate(end.text, (1.0, share), (4, 0), "axes fraction", "offset points", color=end.color, **_LABEL_STYLE)


def add_legend(figure: "Figure", title: str, entries: list[tuple[str, str]]) -> None:
    """Make room under the figure's title and write ``(label, color)`` entries there, in as many rows as they need."""
    from matplotlib.lines import Line2D

    widest = max(len(label) for label, _ in entries) * CHARACTER_WIDTH + 32.0
    columns = max(1, int((WIDTH - 8.0) // widest))
    handles = [Line2D([], [], color=color, linewidth=2.0, label=label) for label, color in entries]
    rows = math.ceil(len(handles) / columns) + bool(title)
    old = figure.get_figheight() * 72
    new = old + rows * (TEXT_SIZE + 5.0) + 4.0
    for item in figure.texts:
        item.set_y(1.0 - (1.0 - item.get_position()[1]) * old / new)
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, BOTTOM / new, box.width, (old - TOP - BOTTOM) / new))
    figure.set_figheight(new / 72)
    figure.legend(handles=handles, title=title or None, ncols=columns, loc="upper left", alignment="left",
                  bbox_to_anchor=(0.0, 1.0 - (TOP - 8.0) / new), borderaxespad=0.0, borderpad=0.4, handlelength=1.4,
                  handletextpad=0.5, columnspacing=1.2, labelspacing=0.4)  # fmt: skip
