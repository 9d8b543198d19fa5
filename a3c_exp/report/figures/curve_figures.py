"""Curves as SVG: one figure a question, all in one style, drawn by matplotlib (which is imported only when needed)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.aggregate import (
    Band,
    Comparison,
    Configuration,
    Curve,
    band_members,
    mean_band,
    quartile_band,
    run_curve,
)
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.labels import EndLabel, add_legend, draw_end_labels, end_label, peak_label
from a3c_exp.report.figures.multi_panel import FigureFiles, png_bytes, svg_text, with_figure_style
from a3c_exp.report.figures.plot_specs import PLOTS, Plot, statistic_plot
from a3c_exp.report.figures.style import AXIS_TITLES, CHARACTER_WIDTH, new_figure, scale_axes
from a3c_exp.report.quantities.policy_lag import lag_shares
from a3c_exp.report.run_reader import RunData, own_statistics
from a3c_exp.stats.estimates import MIN_SEEDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_MARKED_POINTS = 30  # evaluations up to which each gets a dot
_MAX_END_LABEL = 12  # characters up to which a label is written at the end of its line


def assign_colors(comparison: Comparison, ranking: Sequence[float]) -> dict[Configuration, svg.ThemeColor]:
    """A color for each configuration; if they are too many, grey for all but the highest in ``ranking``."""
    known = [value if math.isfinite(value) else -math.inf for value in ranking]
    order = sorted(range(len(known)), key=known.__getitem__, reverse=True)
    best = set(order[: len(svg.SERIES_COLORS)])
    series_colors = iter(svg.SERIES_COLORS)
    return {item: next(series_colors) if i in best else svg.OTHER_COLOR for i, item in enumerate(comparison.configurations)}


def draw_plots(comparison: Comparison, colors: dict[Configuration, svg.ThemeColor], png: bool = True) -> list[FigureFiles]:
    """All plots for which there are numbers, but for those that only repeat another; as PNG too if ``png``.

    Raises:
        A3CError: matplotlib is not installed.
    """
    curves = {plot: {item: _curves(plot, item) for item in comparison.configurations} for plot in _plots(comparison)}
    shown = [plot for plot in curves if any(curves[plot].values()) and not _is_redundant(plot, comparison)]
    return with_figure_style(lambda: [_draw_plot(plot, comparison.title, curves[plot], colors, png) for plot in shown])


def _plots(comparison: Comparison) -> list[Plot]:
    """Those of every report, and the curves of further statistics that these runs have."""
    own = {info.name: statistic_plot(info) for run in comparison.runs for info in own_statistics(run.run_json)}
    return [*PLOTS, *own.values()]


def _curves(plot: Plot, configuration: Configuration) -> list[Curve]:
    if plot.source == "lags":
        shares = lag_shares(configuration.runs)
        return [] if shares is None else [shares]
    return _thinned_curves(plot, plot.quantity, configuration.runs)


def _thinned_curves(plot: Plot, quantity: str, runs: Sequence[RunData]) -> list[Curve]:
    found = (run_curve(run, plot.source, quantity, plot.axis) for run in runs)
    return [_thin_curve(item, plot.max_points) for item in found if item is not None]


def _is_redundant(plot: Plot, comparison: Comparison) -> bool:
    """Whether every run's numbers are those of another figure, or are shown there in a better way."""
    better = [other for other in PLOTS if other.replaces == plot.name]
    if better:
        return all(
            run_curve(run, plot.source, plot.quantity, plot.axis) is None
            or any(run_curve(run, other.source, other.quantity, other.axis) for other in better)
            for run in comparison.runs
        )
    if not plot.hidden_if_equal_to:
        return False
    pairs = (
        [run_curve(run, plot.source, name, plot.axis) for name in (plot.quantity, plot.hidden_if_equal_to)]
        for run in comparison.runs
    )
    return all(
        curve is None or (other is not None and curve.y.size == other.y.size and np.allclose(curve.y, other.y, rtol=1e-5))
        for curve, other in pairs
    )


def _draw_plot(
    plot: Plot, title: str, curves: dict[Configuration, list[Curve]], colors: dict[Configuration, svg.ThemeColor], png: bool
) -> FigureFiles:
    named = [item for item in curves if curves[item] and colors[item] != svg.OTHER_COLOR] if len(curves) > 1 else []
    longest = max((len(item.short_label) for item in named), default=0)
    at_ends = 0 < longest <= _MAX_END_LABEL
    figure, axes = new_figure(plot, right_margin=longest * CHARACTER_WIDTH + 12.0 if at_ends else 10.0)
    ends: list[EndLabel] = []
    heights = [item.y for items in curves.values() for item in items]
    num_left_out = 0
    several = any(len(band_members(items)) >= MIN_SEEDS for items in curves.values() if items)
    for item in sorted(curves, key=lambda item: colors[item] != svg.OTHER_COLOR):  # grey ones first, below the others
        if curves[item]:
            plain = colors[item] == svg.OTHER_COLOR
            band = _band(plot, curves[item])
            if plot.spread == "steps":
                _draw_histogram(axes, curves[item][0], colors[item].light, plain)
            elif plain:
                _draw_background(axes, curves[item], band, colors[item].light)
            else:
                _draw_series(axes, plot, curves[item], band, colors[item].light)
            if plot.edges and not plain and (plot.spread == "within" or not several):
                heights += _draw_edges(axes, plot, curves[item], band is not None, colors[item].light)
            num_left_out += len(curves[item]) - band.num_seeds if band else 0
            if item in named and plot.spread == "steps":
                ends.append(peak_label(curves[item][0], item.short_label, colors[item].light))
            elif item in named:
                ends.append(end_label(curves[item], item.short_label, colors[item].light))
    scale_axes(axes, plot, np.concatenate(heights))
    if at_ends:
        draw_end_labels(figure, axes, ends)
    page = file = svg_text(figure)
    if named:
        add_legend(figure, title, [(item.short_label, colors[item].light) for item in named])
        file = svg_text(figure)
    words = f"{plot.title} against {AXIS_TITLES[plot.axis].lower()}"
    caption = f"{plot.note} {_reading_hint(plot, several)}".rstrip()
    if num_left_out:
        caption += f" Left out of the bands: {num_left_out} run{'s' * (num_left_out > 1)} that did not get as far."
    image = png_bytes(figure) if png else b""
    return FigureFiles(plot.name, caption, svg.standalone(file, words), svg.inline(page, plot.name, words), image, plot.section)


def _band(plot: Plot, curves: Sequence[Curve]) -> Band | None:
    if plot.spread == "steps":
        return None
    return (mean_band if plot.spread == "interval" else quartile_band)(curves)


def _reading_hint(plot: Plot, has_bands: bool) -> str:
    """How to read lines and bands, given whether any configuration has seeds enough for a band."""
    if plot.spread == "within" and has_bands:
        return "Over seeds: medians."
    if not plot.large:
        return ""
    if has_bands:
        if plot.spread == "interval":
            return "Line and band: mean over seeds with its 95 % bootstrap interval; thin: single seeds."
        return "Line and band: median and middle half of the seeds; thin: single seeds."
    if plot.spread == "interval":
        return "One line a seed; band: 95 % interval over its evaluation episodes."
    return "One line a seed; three or more would get a band."


def _draw_series(axes: "Axes", plot: Plot, curves: list[Curve], band: Band | None, color: str) -> None:
    """Draw one configuration: its single seeds, and its band if it has one."""
    faint = max(0.12, 0.45 * min(1.0, 4.0 / len(curves)))  # many seeds make a cloud, not a wall
    single: dict[str, Any] = {"linewidth": 0.7, "alpha": faint} if band else {"linewidth": 1.4, "alpha": 0.9}
    for item in curves if band is None or plot.spread != "within" else ():
        dot = "o" if item.x.size == 1 or (not band and _has_markers(plot, item.x)) else ""
        axes.plot(item.x, item.y, color=color, marker=dot, markersize=3.0, **single)
    if band is None:
        return
    if plot.spread != "within":
        axes.fill_between(band.x, band.low, band.high, color=color, alpha=0.17, linewidth=0)
    dot = "o" if _has_markers(plot, band.x) else ""
    axes.plot(band.x, band.middle, color=color, linewidth=1.9, marker=dot, markersize=3.2)


def _draw_background(axes: "Axes", curves: Sequence[Curve], band: Band | None, color: str) -> None:
    """A configuration beyond the last color: one thin line, or one a seed."""
    for x, y in [(band.x, band.middle)] if band else [(item.x, item.y) for item in curves]:
        axes.plot(x, y, color=color, linewidth=0.8, alpha=0.5)


def _has_markers(plot: Plot, x: FloatArray) -> bool:
    """Whether points are so few that each should be seen."""
    return x.size == 1 or (plot.spread == "interval" and x.size <= _MAX_MARKED_POINTS)


def _draw_edges(axes: "Axes", plot: Plot, curves: Sequence[Curve], use_medians: bool, color: str) -> list[FloatArray]:
    """What lies between a plot's edges: of each run, or the medians of all ``use_medians``; returns the heights drawn."""
    assert plot.edges is not None
    runs = [item.run for item in curves]
    below, above = (_thinned_curves(plot, name, runs) for name in plot.edges)
    if use_medians:
        low, high = quartile_band(below), quartile_band(above)
        areas = [(low.x, low.middle, high.middle)] if low and high and np.array_equal(low.x, high.x) else []
    else:
        pairs = ((low, high) for low in below for high in above if low.run is high.run)
        areas = [(low.x, low.y, high.y) for low, high in pairs if np.array_equal(low.x, high.x)]
    for x, low_edge, high_edge in areas:
        axes.fill_between(x, low_edge, high_edge, color=color, alpha=0.13, linewidth=0)
    return [edge for _, *edges in areas for edge in edges]


def _draw_histogram(axes: "Axes", shares: Curve, color: str, unfilled: bool) -> None:
    """A histogram: filled only if it has a color, so that those behind it are seen."""
    axes.step(shares.x, shares.y, where="mid", color=color, linewidth=0.8 if unfilled else 1.6, alpha=0.5 if unfilled else 0.95)
    if not unfilled:
        axes.fill_between(shares.x, 0.0, shares.y, step="mid", color=color, alpha=0.17, linewidth=0)


def _thin_curve(curve: Curve, max_points: int) -> Curve:
    """At most about ``max_points`` points: means of neighbors. It ends where it ended, at the mean of its last ones."""
    every = math.ceil(curve.x.size / max_points)
    if every == 1:
        return curve
    starts = np.arange(0, curve.x.size - 1, every)
    sizes = np.diff(np.append(starts, curve.x.size - 1))
    x, y = (np.add.reduceat(values[:-1], starts) / sizes for values in (curve.x, curve.y))
    return Curve(curve.run, np.append(x, curve.x[-1]), np.append(y, curve.y[-every:].mean()))
