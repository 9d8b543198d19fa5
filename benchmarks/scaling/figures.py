"""The curves of the scaling benchmark, as SVG in the style of the reports' figures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from a3c_exp.report.figures import panels, svg
from a3c_exp.report.figures.style import SMALL_TEXT_SIZE, compact_number, figure_style, set_number_ticks
from benchmarks.scaling.record import PointResult, SeriesResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROPORTIONAL = ("workers", "seeds")
"""Series whose steps per second would grow in proportion if more cost no time."""
_MIN_TICK_GAP = 0.13  # share of an axis' length between two tick labels


def draw(results: Mapping[str, SeriesResult]) -> dict[str, str]:
    """SVG files by name: one for each series that has curves, and one for the pairwise comparisons.

    Raises:
        A3CError: matplotlib is not installed.
    """
    files = {}
    for name, result in results.items():
        if result.axis and any(row.measured for row in result.rows):
            files[name] = _drawn(partial(_curves_figure, name, result))
    pairs = [
        (row.line, result.ratios(row))
        for result in results.values()
        for row in result.rows
        if row.against and result.ratios(row)
    ]
    if pairs:
        files["processes"] = _drawn(partial(_ratios_figure, pairs))
    return files


def _drawn(draw: Callable[[], panels.CaptionedFigure]) -> str:
    with figure_style():
        return panels.render_figure(draw()).standalone_svg


def _curves_figure(name: str, result: SeriesResult) -> panels.CaptionedFigure:
    lines: dict[str, list[PointResult]] = {}
    for row in result.rows:
        if row.measured and row.x is not None:
            lines.setdefault(row.line, []).append(row)
    entries: list[tuple[str, dict[str, Any]]] = []
    if len(lines) > 1:
        entries = [
            (line, {"color": color.light, "linewidth": 1.9}) for line, color in zip(lines, svg.SERIES_COLORS, strict=False)
        ]
    if name in PROPORTIONAL:
        entries.append(("in proportion", _PROPORTIONAL_STYLE))
    margins = panels.Margins(left=34.0, right=6.0, top=56.0 if entries else 42.0, bottom=34.0, column_gap=30.0)
    figure, ((speed, memory),) = panels.panel_grid(
        result.title[0].upper() + result.title[1:], ("Steps a second", "Memory at most, MB"), height=120.0, margins=margins
    )
    if entries:
        panels.add_legend_row(figure, entries, top=21.0)
    speed.set_yscale("log")
    for axes, quantity, reduce in ((speed, "steps_per_second", median), (memory, "memory_mb", max)):
        axes.tick_params(labelsize=SMALL_TEXT_SIZE)
        for rows, color in zip(lines.values(), svg.SERIES_COLORS, strict=False):
            _draw_line(axes, rows, quantity, reduce, color.light)
        _set_log_x_ticks(axes, [row.x for rows in lines.values() for row in rows if row.x is not None])
    if name in PROPORTIONAL:
        first = next(iter(lines.values()))
        _draw_proportional(speed, [row.x for row in first if row.x], median(first[0].values("steps_per_second")))
    _set_log_y_ticks(speed)
    _set_linear_y_ticks(memory)
    panels.set_shared_x_label(figure, result.axis[0].upper() + result.axis[1:])
    description = f"{result.title}: steps a second and memory"
    return panels.CaptionedFigure(f"scaling_{name}", description, "", figure)


_PROPORTIONAL_STYLE: dict[str, Any] = {"color": svg.OTHER_COLOR.light, "linewidth": 1.0, "linestyle": (0, (3, 2))}


def _draw_line(
    axes: "Axes", rows: Sequence[PointResult], quantity: str, reduce: Callable[[list[float]], float], color: str
) -> None:
    """Medians (or maxima) with a band from minimum to maximum; points that are not fully compiled are hollow."""
    values = [row.values(quantity) for row in rows]
    x = [row.x for row in rows if row.x is not None]
    axes.fill_between(x, list(map(min, values)), list(map(max, values)), color=color, alpha=0.17, linewidth=0)
    axes.plot(x, list(map(reduce, values)), color=color, linewidth=1.9)
    for row, position, repeats in zip(rows, x, values, strict=True):
        compiled = row.compiled is None or row.compiled.remark is None
        face = color if compiled else "none"
        axes.plot(
            [position], [reduce(repeats)], "o", markersize=3.4, markerfacecolor=face, markeredgecolor=color, clip_on=False
        )


def _draw_proportional(axes: "Axes", x: Sequence[float], first: float) -> None:
    """The speed if more cost no time."""
    low, high = axes.get_ylim()
    axes.plot(x, [first * each / x[0] for each in x], zorder=1.0, **_PROPORTIONAL_STYLE)
    axes.set_ylim(low, min(high * 2.0, first * x[-1] / x[0]))


def _set_log_x_ticks(axes: "Axes", ticks: Sequence[float]) -> None:
    """A logarithmic axis with a tick at every measured position, and as many labels as there is room for."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    positions = sorted(set(ticks))
    axes.set_xscale("log")
    margin = (positions[-1] / positions[0]) ** 0.04 if len(positions) > 1 else 2.0
    axes.set_xlim(positions[0] / margin, positions[-1] * margin)
    labeled = _spaced_ticks(positions)
    axes.xaxis.set_major_locator(FixedLocator(positions))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{position:g}" if position in labeled else "" for position in positions]))
    axes.xaxis.set_minor_locator(NullLocator())


def _spaced_ticks(ticks: Sequence[float]) -> list[float]:
    """Of positions on a logarithmic axis the first, the last, and those between that are far enough apart.

    >>> _spaced_ticks([1, 4, 12, 32, 64, 128, 256])
    [1, 4, 12, 32, 256]
    """
    if len(ticks) < 3:
        return list(ticks)
    span = ticks[-1] / ticks[0]
    spaced = [ticks[0]]
    for position in ticks[1:-1]:
        if min(position / spaced[-1], ticks[-1] / position) >= span**_MIN_TICK_GAP:
            spaced.append(position)
    return [*spaced, ticks[-1]]


def _set_log_y_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high < 30 * low else (1.0, 3.0) if high < 1000 * low else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value)))


def _set_linear_y_ticks(axes: "Axes") -> None:
    axes.set_ylim(0.0, axes.get_ylim()[1] * 1.06)
    set_number_ticks(axes.yaxis, 4)


def _ratios_figure(pairs: Sequence[tuple[str, Sequence[float]]]) -> panels.CaptionedFigure:
    """Speed with two processes, or with parallel runs, over one: medians with a range from minimum to maximum."""
    from matplotlib.ticker import FuncFormatter

    margins = panels.Margins(left=124.0, right=14.0, top=34.0, bottom=34.0)
    title = "Two processes, and runs side by side"
    figure, ((axes,),) = panels.panel_grid(title, ("",), height=24.0 * len(pairs), margins=margins)
    color = svg.SERIES_COLORS[0].light
    for row, (_, ratios) in enumerate(reversed(pairs)):
        axes.plot([min(ratios), max(ratios)], [row, row], color=color, linewidth=4.0, alpha=0.25)
        axes.plot([median(ratios)], [row], "o", color=color, markersize=5.0)
        axes.annotate(
            f"{median(ratios):.2f}",
            (median(ratios), row),
            (0.0, 5.0),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL_TEXT_SIZE,
        )
    axes.set_yticks(range(len(pairs)), [label for label, _ in reversed(pairs)])
    axes.set_ylim(-0.5, len(pairs) - 0.3)
    axes.set_xlim(
        min(0.9, *(min(ratios) for _, ratios in pairs)) - 0.05, max(2.1, *(max(ratios) for _, ratios in pairs)) + 0.05
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(labelsize=SMALL_TEXT_SIZE)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    for at in (1.0, 2.0):
        axes.axvline(at, zorder=1.0, **_PROPORTIONAL_STYLE)
    panels.set_shared_x_label(figure, "Times as fast as one process, or one run at a time")
    return panels.CaptionedFigure("scaling_processes", f"{title}: times as fast", "", figure)
