"""Curves as SVG: one figure a question, all in one style, drawn by matplotlib (which is imported only when needed)."""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.aggregate import (
    Band,
    Comparison,
    Configuration,
    Curve,
    curve,
    mean_band,
    members,
    quartile_band,
)
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.labels import End, add_legend, end_of, label_ends, top_of
from a3c_exp.report.figures.plot_specs import PLOTS, Plot
from a3c_exp.report.figures.style import AXES, CHARACTER, STYLE, paper, scale
from a3c_exp.report.quantities.policy_lag import lag_shares
from a3c_exp.report.run_reader import Run
from a3c_exp.report.sections import DOTS, QUICKLY
from a3c_exp.stats.estimates import MIN_SEEDS
from a3c_exp.system.errors import A3CError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKED = 30  # evaluations up to which each gets a dot
_LONGEST = 12  # characters up to which a label is written at the end of its line


@dataclass(frozen=True)
class Drawing:
    """A drawn plot: files of its own (with a legend) and a part of a page (which has one for all).

    Attributes:
        plot: what it shows.
        file: an SVG that stands alone.
        inline: the same as a part of a page.
        caption: what a reader should know.
        image: the same as PNG, on white paper; empty where nobody asked for one.
    """

    plot: Plot
    file: str
    inline: str
    caption: str
    image: bytes = b""


def colours(comparison: Comparison, ranking: Sequence[float]) -> dict[Configuration, svg.Ink]:
    """A colour for each configuration; if they are too many, grey for all but the highest in ``ranking``."""
    known = [value if math.isfinite(value) else -math.inf for value in ranking]
    order = sorted(range(len(known)), key=known.__getitem__, reverse=True)
    best = set(order[: len(svg.SERIES)])
    inks = iter(svg.SERIES)
    return {item: next(inks) if i in best else svg.OTHER for i, item in enumerate(comparison.configurations)}


def draw(comparison: Comparison, inks: dict[Configuration, svg.Ink], images: bool = True) -> list[Drawing]:
    """All plots for which there are numbers, but for those that only repeat another; as PNG too if ``images``.

    Raises:
        A3CError: matplotlib is not installed.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise A3CError('a report needs matplotlib, which is not installed: pip install "a3c_exp[report]"') from error
    drawings = []
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts have it
        for plot in PLOTS:
            curves = {item: _curves(plot, item) for item in comparison.configurations}
            if any(curves.values()) and not _repeats(plot, comparison):
                drawings.append(_draw(plot, comparison.title, curves, inks, images))
    return drawings


def _curves(plot: Plot, configuration: Configuration) -> list[Curve]:
    if plot.table == "lags":
        shares = lag_shares(configuration)
        return [] if shares is None else [shares]
    return _thinned(plot, plot.quantity, configuration.runs)


def _thinned(plot: Plot, quantity: str, runs: Sequence[Run]) -> list[Curve]:
    found = (curve(run, plot.table, quantity, plot.axis) for run in runs)
    return [_thin(item, plot.points) for item in found if item is not None]


def _repeats(plot: Plot, comparison: Comparison) -> bool:
    """Whether every run's numbers are those of another figure, or are told there in a better way."""
    better = [other for other in PLOTS if other.instead_of == plot.name]
    if better:
        return all(
            curve(run, plot.table, plot.quantity, plot.axis) is None
            or any(curve(run, other.table, other.quantity, other.axis) for other in better)
            for run in comparison.runs
        )
    if not plot.differs_from:
        return False
    pairs = (
        [curve(run, plot.table, name, plot.axis) for name in (plot.quantity, plot.differs_from)] for run in comparison.runs
    )
    return all(
        ours is None or (other is not None and ours.y.size == other.y.size and np.allclose(ours.y, other.y, rtol=1e-5))
        for ours, other in pairs
    )


def _draw(
    plot: Plot, title: str, curves: dict[Configuration, list[Curve]], inks: dict[Configuration, svg.Ink], images: bool
) -> Drawing:
    named = [item for item in curves if curves[item] and inks[item] != svg.OTHER] if len(curves) > 1 else []
    longest = max((len(item.short) for item in named), default=0)
    at_ends = 0 < longest <= _LONGEST
    figure, axes = paper(plot, right=longest * CHARACTER + 12.0 if at_ends else 10.0)
    ends: list[End] = []
    heights = [item.y for items in curves.values() for item in items]
    left_out = 0
    several = any(len(members(items)) >= MIN_SEEDS for items in curves.values() if items)
    for item in sorted(curves, key=lambda item: inks[item] != svg.OTHER):  # grey ones first, below the others
        if curves[item]:
            plain = inks[item] == svg.OTHER
            band = _band(plot, curves[item])
            if plot.spread == "steps":
                _steps(axes, curves[item][0], inks[item].light, plain)
            elif plain:
                _background(axes, curves[item], band, inks[item].light)
            else:
                _series(axes, plot, curves[item], band, inks[item].light)
            if plot.edges and not plain and (plot.spread == "within" or not several):
                heights += _shade(axes, plot, curves[item], band is not None, inks[item].light)
            left_out += len(curves[item]) - band.seeds if band else 0
            if item in named and plot.spread == "steps":
                ends.append(top_of(curves[item][0], item.short, inks[item].light))
            elif item in named:
                ends.append(end_of(curves[item], item.short, inks[item].light))
    scale(axes, plot, np.concatenate(heights))
    if at_ends:
        label_ends(figure, axes, ends)
    page = file = _svg(figure)
    if named:
        add_legend(figure, title, [(item.short, inks[item].light) for item in named])
        file = _svg(figure)
    words = f"{plot.title} against {AXES[plot.axis].lower()}"
    caption = f"{plot.note} {_reading(plot, several)}".rstrip()
    if left_out:
        caption += f" Left out of the bands: {left_out} run{'s' * (left_out > 1)} that did not get as far."
    image = _png(figure) if images else b""
    return Drawing(plot, svg.standalone(file, words), svg.inline(page, plot.name, words), caption, image)


def _band(plot: Plot, curves: Sequence[Curve]) -> Band | None:
    if plot.spread == "steps":
        return None
    return (mean_band if plot.spread == "interval" else quartile_band)(curves)


def _reading(plot: Plot, several: bool) -> str:
    """How to read lines and bands, given whether any configuration has seeds enough for a band."""
    if plot.spread == "within" and several:
        return "Over seeds: medians."
    if not plot.large:
        return ""
    if several:
        if plot.spread == "interval":
            return "Line and band: mean over seeds with its 95 % bootstrap interval; thin: single seeds."
        return "Line and band: median and middle half of the seeds; thin: single seeds."
    if plot.spread == "interval":
        return "One line a seed; band: 95 % interval over its evaluation episodes."
    return "One line a seed; three or more would get a band."


def _series(axes: "Axes", plot: Plot, curves: list[Curve], band: Band | None, colour: str) -> None:
    """Draw one configuration: its single seeds, and its band if it has one."""
    faint = max(0.12, 0.45 * min(1.0, 4.0 / len(curves)))  # many seeds make a cloud, not a wall
    single: dict[str, Any] = {"linewidth": 0.7, "alpha": faint} if band else {"linewidth": 1.4, "alpha": 0.9}
    for item in curves if band is None or plot.spread != "within" else ():
        dot = "o" if item.x.size == 1 or (not band and _dotted(plot, item.x)) else ""
        axes.plot(item.x, item.y, color=colour, marker=dot, markersize=3.0, **single)
    if band is None:
        return
    if plot.spread != "within":
        axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.17, linewidth=0)
    dot = "o" if _dotted(plot, band.x) else ""
    axes.plot(band.x, band.middle, color=colour, linewidth=1.9, marker=dot, markersize=3.2)


def _background(axes: "Axes", curves: Sequence[Curve], band: Band | None, colour: str) -> None:
    """A configuration beyond the last colour: one thin line, or one a seed."""
    for x, y in [(band.x, band.middle)] if band else [(item.x, item.y) for item in curves]:
        axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.5)


def _dotted(plot: Plot, x: FloatArray) -> bool:
    """Whether points are so few that each should be seen."""
    return x.size == 1 or (plot.spread == "interval" and x.size <= _MARKED)


def _shade(axes: "Axes", plot: Plot, curves: Sequence[Curve], together: bool, colour: str) -> list[FloatArray]:
    """What lies between a plot's edges: of each run, or the medians of all ``together``; returns the heights drawn."""
    assert plot.edges is not None
    runs = [item.run for item in curves]
    below, above = (_thinned(plot, name, runs) for name in plot.edges)
    if together:
        low, high = quartile_band(below), quartile_band(above)
        areas = [(low.x, low.middle, high.middle)] if low and high and np.array_equal(low.x, high.x) else []
    else:
        pairs = ((low, high) for low in below for high in above if low.run is high.run)
        areas = [(low.x, low.y, high.y) for low, high in pairs if np.array_equal(low.x, high.x)]
    for x, low_edge, high_edge in areas:
        axes.fill_between(x, low_edge, high_edge, color=colour, alpha=0.13, linewidth=0)
    return [edge for _, *edges in areas for edge in edges]


def _steps(axes: "Axes", shares: Curve, colour: str, plain: bool) -> None:
    """A histogram: filled only if it has a colour, so that those behind it are seen."""
    axes.step(shares.x, shares.y, where="mid", color=colour, linewidth=0.8 if plain else 1.6, alpha=0.5 if plain else 0.95)
    if not plain:
        axes.fill_between(shares.x, 0.0, shares.y, step="mid", color=colour, alpha=0.17, linewidth=0)


def _svg(figure: "Figure") -> str:
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return svg.slim(target.getvalue())


def _png(figure: "Figure") -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=DOTS, facecolor="white", metadata={"Software": None}, pil_kwargs=QUICKLY)
    return target.getvalue()


def _thin(item: Curve, most: int) -> Curve:
    """At most about ``most`` points: means of neighbours. It ends where it ended, at the mean of its last ones."""
    every = math.ceil(item.x.size / most)
    if every == 1:
        return item
    starts = np.arange(0, item.x.size - 1, every)
    sizes = np.diff(np.append(starts, item.x.size - 1))
    x, y = (np.add.reduceat(values[:-1], starts) / sizes for values in (item.x, item.y))
    return Curve(item.run, np.append(x, item.x[-1]), np.append(y, item.y[-every:].mean()))
