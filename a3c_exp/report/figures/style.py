"""The empty figure: its size, its style, its axes and how numbers stand on them."""

from typing import TYPE_CHECKING, Any

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.plot_specs import Plot
from a3c_exp.system.number_format import typographic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 312.0  # points: on a phone a point is a bit more than a pixel, so 9.5 point text stays readable there
_LEFT, BOTTOM, TOP = 44.0, 34.0, 26.0
TEXT_SIZE, CHARACTER_WIDTH = 9.5, 5.6  # points: font size and about the width of one character

AXIS_TITLES = {"episode": "Episodes", "env_step": "Environment steps", "wall_time": "Seconds of training", "lag": "Updates"}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "a3c_exp",  # the same runs give the same file
    "text.parse_math": False,  # a $ in an override is a dollar
    "font.size": TEXT_SIZE,
    "text.color": svg.TEXT_COLOR.light,
    "axes.labelcolor": svg.TEXT_COLOR.light,
    "axes.edgecolor": svg.GRID_COLOR.light,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "grid.color": svg.GRID_COLOR.light,
    "grid.linewidth": 0.6,
    "xtick.color": svg.GRID_COLOR.light,
    "xtick.labelcolor": svg.TEXT_COLOR.light,
    "xtick.major.size": 3.0,
    "ytick.left": False,
    "ytick.labelcolor": svg.TEXT_COLOR.light,
    "ytick.major.pad": 3.0,
    "legend.frameon": False,
    "legend.fontsize": TEXT_SIZE,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.2,
}


def new_figure(plot: Plot, right_margin: float) -> tuple["Figure", "Axes"]:
    """An empty figure with its title and axes, and ``right_margin`` points of room to their right."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    height = 226.0 if plot.large else 158.0
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    width = WIDTH - _LEFT - right_margin
    axes = figure.add_axes((_LEFT / WIDTH, BOTTOM / height, width / WIDTH, (height - BOTTOM - TOP) / height))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=plot.axis in ("episode", "lag")))
    axes.yaxis.set_major_locator(MaxNLocator(5 if plot.large else 4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value, axes.get_xlim())))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value, axes.get_ylim())))
    axes.set_xlabel(AXIS_TITLES[plot.axis], labelpad=2.0)
    figure.text(4.0 / WIDTH, 1.0 - 14.0 / height, plot.title, fontsize=TEXT_SIZE, weight="bold")
    return figure, axes


def scale_axes(axes: "Axes", plot: Plot, y: FloatArray) -> None:
    """Choose the limits and kind of the axes, given all heights ``y`` that are drawn."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xlim(left=-0.5 if plot.axis == "lag" else 0.0)
    if plot.scale == "log" and y.min() > 0 and y.max() > 30 * y.min():
        axes.set_yscale("log")
        few = y.max() < 1000 * y.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,), numticks=5))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value)))
    elif plot.scale == "zero" and y.min() >= 0:
        axes.set_ylim(0.0, max(float(y.max()) * 1.06, 1e-9))
    elif plot.scale == "unit":
        axes.set_ylim(max(-1.0, float(y.min()) - 0.05), 1.05)
    elif plot.scale == "share":
        axes.set_ylim(0.0, 1.05)


def compact_number(value: float, limits: tuple[float, float] = (0.0, 0.0)) -> str:
    """``1.5M``, ``20k``, ``0.25``: a number for an axis with these ``limits``, with a true minus sign."""
    size = max(abs(value), *map(abs, limits))
    divisor, sign = 1.0, ""
    for start, divides, letter in ((1e4, 1e3, "k"), (1e6, 1e6, "M"), (1e9, 1e9, "G")):
        if size >= start:
            divisor, sign = divides, letter
    return typographic(f"{value / divisor:.4g}{sign}" if value else "0")
