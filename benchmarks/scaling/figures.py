"""The curves of the scaling benchmark, as SVG in the style of the reports' figures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from a3c_exp.report.figures import multi_panel as panels
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.style import compact
from benchmarks.scaling.record import Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROPORTIONAL = ("workers", "seeds")
"""Series in which more of it could cost nothing, so that steps a second would grow in proportion."""
_APART = 0.13  # share of an axis' length between two numbers on it


def draw(results: Mapping[str, Result]) -> dict[str, str]:
    """SVG files by name: one for each series that has curves, and one for what is compared in pairs.

    Raises:
        A3CError: matplotlib is not installed.
    """
    found = {}
    for name, result in results.items():
        if result.axis and any(row.measured for row in result.rows):
            found[name] = panels.files(panels.styled(partial(_curves, name, result)))[0]
    pairs = [
        (row.line, result.ratios(row))
        for result in results.values()
        for row in result.rows
        if row.against and result.ratios(row)
    ]
    if pairs:
        found["processes"] = panels.files(panels.styled(partial(_pairs, pairs)))[0]
    return found


def _curves(name: str, result: Result) -> panels.Picture:
    lines: dict[str, list[Row]] = {}
    for row in result.rows:
        if row.measured and row.x is not None:
            lines.setdefault(row.line, []).append(row)
    entries: list[tuple[str, dict[str, Any]]] = []
    if len(lines) > 1:
        entries = [(line, {"color": ink.light, "linewidth": 1.9}) for line, ink in zip(lines, svg.SERIES, strict=False)]
    if name in PROPORTIONAL:
        entries.append(("in proportion", _PROPORTION))
    room = panels.Room(left=34.0, right=6.0, top=56.0 if entries else 42.0, bottom=34.0, between=30.0)
    figure, ((speed, memory),) = panels.grid(
        result.title[0].upper() + result.title[1:], ("Steps a second", "Memory at most, MB"), height=120.0, room=room
    )
    if entries:
        panels.legend(figure, entries, top=21.0)
    speed.set_yscale("log")
    for axes, quantity, middle in ((speed, "steps_per_second", median), (memory, "memory_mb", max)):
        axes.tick_params(labelsize=panels.SMALL)
        for rows, ink in zip(lines.values(), svg.SERIES, strict=False):
            _line(axes, rows, quantity, middle, ink.light)
        _across(axes, [row.x for rows in lines.values() for row in rows if row.x is not None])
    if name in PROPORTIONAL:
        first = next(iter(lines.values()))
        _proportion(speed, [row.x for row in first if row.x], median(first[0].values("steps_per_second")))
    _powers(speed)
    _from_zero(memory)
    panels.below(figure, result.axis[0].upper() + result.axis[1:])
    words = f"{result.title}: steps a second and memory"
    return panels.Picture(f"scaling_{name}", words, "", figure)


_PROPORTION: dict[str, Any] = {"color": svg.OTHER.light, "linewidth": 1.0, "linestyle": (0, (3, 2))}


def _line(axes: "Axes", rows: Sequence[Row], quantity: str, middle: Callable[[list[float]], float], colour: str) -> None:
    """Medians (or maxima) with a band from the least to the most; hollow where not everything was machine code."""
    values = [row.values(quantity) for row in rows]
    x = [row.x for row in rows if row.x is not None]
    axes.fill_between(x, [min(some) for some in values], [max(some) for some in values], color=colour, alpha=0.17, linewidth=0)
    axes.plot(x, [middle(some) for some in values], color=colour, linewidth=1.9)
    for row, place, some in zip(rows, x, values, strict=True):
        whole = row.compiled is None or row.compiled.remark is None
        face = colour if whole else "none"
        axes.plot([place], [middle(some)], "o", markersize=3.4, markerfacecolor=face, markeredgecolor=colour, clip_on=False)


def _proportion(axes: "Axes", x: Sequence[float], first: float) -> None:
    """As fast as it would be if what is added cost no time."""
    low, high = axes.get_ylim()
    axes.plot(x, [first * one / x[0] for one in x], zorder=1.0, **_PROPORTION)
    axes.set_ylim(low, min(high * 2.0, first * x[-1] / x[0]))


def _across(axes: "Axes", measured: Sequence[float]) -> None:
    """A logarithmic axis with a tick at every measured place, and as many numbers as there is room for."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    places = sorted(set(measured))
    axes.set_xscale("log")
    margin = (places[-1] / places[0]) ** 0.04 if len(places) > 1 else 2.0
    axes.set_xlim(places[0] / margin, places[-1] * margin)
    numbered = _spread(places)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{place:g}" if place in numbered else "" for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())


def _spread(places: Sequence[float]) -> list[float]:
    """Of places on a logarithmic axis the first, the last, and those between that keep apart from each other.

    >>> _spread([1, 4, 12, 32, 64, 128, 256])
    [1, 4, 12, 32, 256]
    """
    if len(places) < 3:
        return list(places)
    whole = places[-1] / places[0]
    kept = [places[0]]
    for place in places[1:-1]:
        if min(place / kept[-1], places[-1] / place) >= whole**_APART:
            kept.append(place)
    return [*kept, places[-1]]


def _powers(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high < 30 * low else (1.0, 3.0) if high < 1000 * low else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def _from_zero(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_ylim(0.0, axes.get_ylim()[1] * 1.06)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value, axes.get_ylim())))


def _pairs(pairs: Sequence[tuple[str, Sequence[float]]]) -> panels.Picture:
    """How many times as fast with two processes, or with runs side by side: medians, and from the least to the most."""
    from matplotlib.ticker import FuncFormatter

    room = panels.Room(left=124.0, right=14.0, top=34.0, bottom=34.0)
    title = "Two processes, and runs side by side"
    figure, ((axes,),) = panels.grid(title, ("",), height=24.0 * len(pairs), room=room)
    colour = svg.SERIES[0].light
    for row, (_, ratios) in enumerate(reversed(pairs)):
        axes.plot([min(ratios), max(ratios)], [row, row], color=colour, linewidth=4.0, alpha=0.25)
        axes.plot([median(ratios)], [row], "o", color=colour, markersize=5.0)
        axes.annotate(
            f"{median(ratios):.2f}",
            (median(ratios), row),
            (0.0, 5.0),
            textcoords="offset points",
            ha="center",
            fontsize=panels.SMALL,
        )
    axes.set_yticks(range(len(pairs)), [label for label, _ in reversed(pairs)])
    axes.set_ylim(-0.5, len(pairs) - 0.3)
    axes.set_xlim(
        min(0.9, *(min(ratios) for _, ratios in pairs)) - 0.05, max(2.1, *(max(ratios) for _, ratios in pairs)) + 0.05
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(labelsize=panels.SMALL)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    for at in (1.0, 2.0):
        axes.axvline(at, zorder=1.0, **_PROPORTION)
    panels.below(figure, "Times as fast as one process, or one run at a time")
    return panels.Picture("scaling_processes", f"{title}: times as fast", "", figure)
