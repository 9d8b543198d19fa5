"""The style of all figures: sizes, colors, and how numbers stand on an axis."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from a3c_exp.report.figures import svg
from a3c_exp.system.extras import import_extra
from a3c_exp.system.number_format import typographic

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure
else:
    Axes = Axis = Figure = Any  # matplotlib is imported only when something is drawn

WIDTH = 312.0  # points: on a phone a point is a bit more than a pixel, so 9.5 point text stays readable there
TEXT_SIZE, SMALL_TEXT_SIZE = 9.5, 8.0  # points
CHARACTER_WIDTH = 5.6  # points, about

AXIS_TITLES = {"episode": "Episodes", "env_step": "Environment steps", "wall_time": "Seconds of training", "lag": "Updates"}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # whole letters, which a printer and a search find
    "svg.hashsalt": "a3c_exp",  # the same runs give the same file
    "text.parse_math": False,  # a $ in an override is a dollar
    **dict.fromkeys(("font.size", "legend.fontsize"), TEXT_SIZE),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), svg.TEXT_COLOR.light),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color"), svg.GRID_COLOR.light),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left", "ytick.left", "legend.frameon"), False),
    **dict.fromkeys(("axes.grid", "axes.axisbelow"), True),
    **dict.fromkeys(("xtick.major.size", "ytick.major.pad"), 3.0),
    "axes.grid.axis": "y",
    "axes.xmargin": 0.0,
    "axes.linewidth": 0.8,
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.2,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Whatever is drawn and saved inside has the style of all figures. Raises ConfigError if matplotlib is not installed."""
    style = import_extra("a report", "matplotlib.style")
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts have it
        yield


def set_number_ticks(axis: Axis, count: int, integer: bool = False, shared_unit: bool = True) -> None:
    """About ``count`` numbers on an axis, written short: all in one unit, such as thousands, or each in its own."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def write(value: float, _: int | None) -> str:
        return compact_number(value, *(axis.get_view_interval() if shared_unit else ()))

    axis.set_major_locator(MaxNLocator(count, integer=integer))
    axis.set_major_formatter(FuncFormatter(write))


def compact_number(value: float, *limits: float) -> str:
    """``1.5M``, ``20k``, ``0.25``: a number for an axis with these ``limits``, with a true minus sign."""
    size = max(map(abs, (value, *limits)))
    divisor, sign = 1.0, ""
    for start, divides, letter in ((1e4, 1e3, "k"), (1e6, 1e6, "M"), (1e9, 1e9, "G")):
        if size >= start:
            divisor, sign = divides, letter
    return typographic(f"{value / divisor:.4g}{sign}" if value else "0")
