"""Curves over configurations: one figure a question, drawn by matplotlib (which is imported only when needed)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.curves import Band, Curve, band_members, lag_shares, mean_band, quartile_band, run_curve
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.panels import CaptionedFigure, Margins, new_plot, set_y_label
from a3c_exp.report.figures.plot_specs import PLOTS, Plot, statistic_plot
from a3c_exp.report.figures.style import AXIS_TITLES, CHARACTER_WIDTH, TEXT_SIZE, Axes, Figure, compact_number
from a3c_exp.report.run_reader import RunData, own_statistics
from a3c_exp.stats.estimates import MIN_SEEDS

Colors = dict[Configuration, svg.ThemeColor]
_MAX_MARKED_POINTS = 30  # evaluations up to which each gets a dot
_MAX_END_LABEL = 12  # characters up to which a label is written at the end of its line
_LABEL_STYLE: dict[str, Any] = {"va": "center", "weight": "bold", "annotation_clip": False}


class _EndLabel(NamedTuple):
    """Where a configuration's lines end, and what is to stand there."""

    x: float
    y: float
    text: str
    color: str


def assign_colors(comparison: Comparison, ranking: Sequence[float]) -> Colors:
    """A color for each configuration; if they are too many, grey for all but the highest in ``ranking``."""
    known = [value if math.isfinite(value) else -math.inf for value in ranking]
    best = set(sorted(range(len(known)), key=known.__getitem__, reverse=True)[: len(svg.SERIES_COLORS)])
    series_colors = iter(svg.SERIES_COLORS)
    return {item: next(series_colors) if i in best else svg.OTHER_COLOR for i, item in enumerate(comparison.configurations)}


def draw_plots(comparison: Comparison, colors: Colors, task: str = "") -> Iterator[CaptionedFigure]:
    """All plots for which there are numbers, but for those that only repeat another; one at a time, in ``figure_style``."""
    own = {info.name: statistic_plot(info) for run in comparison.runs for info in own_statistics(run.run_json)}
    for plot in (*PLOTS, *own.values()):
        curves = {item: found for item in comparison.configurations if (found := _curves(plot, plot.quantity, item.runs))}
        if curves and not _is_redundant(plot, comparison.runs):
            labeled = replace(plot, y_label=plot.y_label or plot.title, title=", ".join(filter(None, (plot.title, task))))
            yield _draw_plot(labeled, comparison, curves, colors)


def _curves(plot: Plot, quantity: str, runs: Sequence[RunData]) -> list[Curve]:
    found = [lag_shares(runs)] if plot.source == "lags" else [run_curve(run, plot.source, quantity, plot.axis) for run in runs]
    return [_thin_curve(item, plot.max_points) for item in found if item is not None]


def _is_redundant(plot: Plot, runs: Sequence[RunData]) -> bool:
    """Whether every run's numbers are those of another figure, or are shown there in a better way."""
    if better := [other for other in PLOTS if other.replaces == plot.name]:
        return all(
            run_curve(run, plot.source, plot.quantity, plot.axis) is None
            or any(run_curve(run, other.source, other.quantity, other.axis) for other in better)
            for run in runs
        )
    if not plot.hidden_if_equal_to:
        return False
    names = (plot.quantity, plot.hidden_if_equal_to)
    pairs = ([run_curve(run, plot.source, name, plot.axis) for name in names] for run in runs)
    return all(
        curve is None or (other is not None and curve.y.size == other.y.size and np.allclose(curve.y, other.y, rtol=1e-5))
        for curve, other in pairs
    )


def _draw_plot(plot: Plot, comparison: Comparison, curves: dict[Configuration, list[Curve]], colors: Colors) -> CaptionedFigure:
    named = [item for item in curves if colors[item] != svg.OTHER_COLOR] if len(comparison.configurations) > 1 else []
    longest = max((len(item.short_label) for item in named), default=0)
    at_ends = 0 < longest <= _MAX_END_LABEL
    margins = Margins(left=54.0, right=longest * CHARACTER_WIDTH + 12.0 if at_ends else 10.0, top=26.0)
    height, num_y_ticks = (166.0, 5) if plot.large else (98.0, 4)
    figure, axes = new_plot(plot.title, AXIS_TITLES[plot.axis], height, margins, plot.axis in ("episode", "lag"), num_y_ticks)
    set_y_label(axes, plot.y_label)
    ends: list[_EndLabel] = []
    heights = [curve.y for found in curves.values() for curve in found]
    num_left_out = 0
    several = any(len(band_members(found)) >= MIN_SEEDS for found in curves.values())
    for item in sorted(curves, key=lambda item: colors[item] != svg.OTHER_COLOR):  # grey ones first, below the others
        found, color, plain = curves[item], colors[item].light, colors[item] == svg.OTHER_COLOR
        if plot.spread == "steps":
            style: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.5} if plain else {"linewidth": 1.6, "alpha": 0.95}
            axes.step(found[0].x, found[0].y, where="mid", color=color, **style)
            if not plain:  # so that histograms behind others are seen
                axes.fill_between(found[0].x, 0.0, found[0].y, step="mid", color=color, alpha=0.17, linewidth=0)
        else:
            band = mean_band(found) if plot.spread == "interval" else quartile_band(found)
            num_left_out += len(found) - band.num_seeds if band else 0
            if plain:  # beyond the last color: one thin line, or one a seed
                for x, y in [(band.x, band.middle)] if band else [(curve.x, curve.y) for curve in found]:
                    axes.plot(x, y, color=color, linewidth=0.8, alpha=0.5)
            else:
                _draw_series(axes, plot, found, band, color)
                if plot.edges and (plot.spread == "within" or not several):
                    heights += _draw_edges(axes, plot, plot.edges, found, band is not None, color)
        if item in named:
            ends.append(_EndLabel(*_line_end(found, plot.spread == "steps"), item.short_label, color))
    _scale_axes(axes, plot, np.concatenate(heights))
    if at_ends:
        _draw_end_labels(figure, axes, ends)
    caption = f"{plot.note} {_reading_hint(plot, several)}".rstrip()
    if num_left_out:
        caption += f" Left out of the bands: {num_left_out} run{'s' * (num_left_out > 1)} that did not get as far."
    words = f"{plot.y_label} against {AXIS_TITLES[plot.axis].lower()}"
    legend = (comparison.title, [(item.short_label, colors[item].light) for item in named]) if named else None
    return CaptionedFigure(plot.name, words, caption, figure, plot.section, legend=legend)


def _scale_axes(axes: Axes, plot: Plot, y: FloatArray) -> None:
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


def _reading_hint(plot: Plot, has_bands: bool) -> str:
    """How to read lines and bands, given whether any configuration has seeds enough for a band."""
    if plot.spread == "within" and has_bands:
        return "Over seeds: medians."
    if not plot.large:
        return ""
    interval = plot.spread == "interval"
    if has_bands:
        what = "mean over seeds with its 95 % bootstrap interval" if interval else "median and middle half of the seeds"
        return f"Line and band: {what}; thin: single seeds."
    what = "band: 95 % interval over its evaluation episodes" if interval else "three or more would get a band"
    return f"One line a seed; {what}."


def _draw_series(axes: Axes, plot: Plot, curves: list[Curve], band: Band | None, color: str) -> None:
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


def _has_markers(plot: Plot, x: FloatArray) -> bool:
    return x.size == 1 or (plot.spread == "interval" and x.size <= _MAX_MARKED_POINTS)


def _draw_edges(
    axes: Axes, plot: Plot, edges: tuple[str, str], curves: Sequence[Curve], use_medians: bool, color: str
) -> list[FloatArray]:
    """What lies between a plot's edges: of each run, or the medians of all ``use_medians``; returns the heights drawn."""
    below, above = (_curves(plot, name, [item.run for item in curves]) for name in edges)
    if use_medians:
        low, high = quartile_band(below), quartile_band(above)
        areas = [(low.x, low.middle, high.middle)] if low and high and np.array_equal(low.x, high.x) else []
    else:
        pairs = ((low, high) for low in below for high in above if low.run is high.run)
        areas = [(low.x, low.y, high.y) for low, high in pairs if np.array_equal(low.x, high.x)]
    for x, low_edge, high_edge in areas:
        axes.fill_between(x, low_edge, high_edge, color=color, alpha=0.13, linewidth=0)
    return [edge for _, *edges in areas for edge in edges]


def _thin_curve(curve: Curve, max_points: int) -> Curve:
    """At most about ``max_points`` points: means of neighbors. It ends where it ended, at the mean of its last ones."""
    every = math.ceil(curve.x.size / max_points)
    if every == 1:
        return curve
    starts = np.arange(0, curve.x.size - 1, every)
    sizes = np.diff(np.append(starts, curve.x.size - 1))
    x, y = (np.add.reduceat(values[:-1], starts) / sizes for values in (curve.x, curve.y))
    return Curve(curve.run, np.append(x, curve.x[-1]), np.append(y, curve.y[-every:].mean()))


def _line_end(curves: Sequence[Curve], is_histogram: bool) -> tuple[float, float]:
    """Where the lines of ``curves`` that got farthest end, on average; the right corner of a histogram's highest step."""
    if is_histogram:  # its ends lie on the axis, where labels would overlap
        at = int(curves[0].y.argmax())
        return float(curves[0].x[at]) + 0.5, float(curves[0].y[at])
    farthest = max(item.x[-1] for item in curves)
    return farthest, float(np.mean([item.y[-1] for item in curves if item.x[-1] > 0.9 * farthest]))


def _draw_end_labels(figure: Figure, axes: Axes, labels: Sequence[_EndLabel]) -> None:
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
