"""The charts of a live page: the curves of the report that stand over environment steps, and the losses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.dashboard.log_table import LogTable
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures.plot_specs import HEADINGS, PLOTS, Plot, statistic_plot
from a3c_exp.runs.log_records import StatisticInfo

ChartAxis = Literal["env_step", "wall_time"]
AXES: tuple[ChartAxis, ...] = ("env_step", "wall_time")

_MAX_POINTS = 240  # of a curve: about as many as a chart has room for
_SAME = 1e-3  # relative, within which two curves say the same
_FIRST = ("evaluation", "training_return", "reward_by_step")
_LOSSES = {"loss": "Loss", "policy_loss": "Policy loss", "value_loss": "Value loss"}
_SECTIONS = {"learning": HEADINGS["learning"], "losses": "Losses", "custom": HEADINGS["custom"]}
_AVERAGE_NOTE = "0.99 old + 0.01 new with each training episode, as in the published report."
_AVERAGE = "moving_average"
_INFO = "info/"  # prefix of what env.log_info adds to episodes


@dataclass(frozen=True)
class ChartedRun:
    """A run whose curves are drawn."""

    tables: Mapping[str, LogTable]
    statistics: Sequence[StatisticInfo]  #: of its own, by ``metrics.extra``


def draw_charts(runs: Sequence[ChartedRun], axis: ChartAxis) -> list[dict[str, Any]]:
    """Every chart for which any of ``runs`` has numbers, in plain values; curves carry the place of their run."""
    drawn: dict[str, dict[str, Any]] = {}
    plots = [*_PLOTS, *_own_plots(runs)]
    for plot in plots:
        curves = [curve for index, run in enumerate(runs) if (curve := _curve(run, plot, axis, index)) is not None]
        if curves:
            drawn[plot.name] = {
                "name": plot.name,
                "title": plot.title,
                "note": plot.note,
                "section": _SECTIONS.get(plot.section, "Diagnostics"),
                "scale": plot.scale,
                "curves": curves,
            }
    for plot in plots:
        if plot.name in drawn and _repeats(drawn, plot):
            del drawn[plot.name]
        if plot.name in drawn and plot.replaces in drawn and _has_all_runs_of(drawn, plot.name, plot.replaces):
            del drawn[plot.replaces]
    return list(drawn.values())


def _built_in_plots() -> Iterable[Plot]:
    """Those of the report that need nothing but a column, the losses after the first of them."""
    plain = {
        plot.name: plot for plot in PLOTS if plot.axis == "env_step" and plot.source != "lags" and _is_plain(plot.quantity)
    }
    for name in _FIRST:
        plot = plain.pop(name)
        yield replace(plot, title=plot.y_label, note=_AVERAGE_NOTE) if name == "reward_by_step" else plot
    infos = StatisticsTable().infos
    for name, title in _LOSSES.items():
        plain.pop(name, None)
        yield replace(statistic_plot(infos[name]), title=title, section="losses")
    order = list(HEADINGS)
    for plot in sorted(plain.values(), key=lambda plot: order.index(plot.section)):
        yield plot if plot.edges is None or all(map(_is_plain, plot.edges)) else replace(plot, edges=None)


def _is_plain(quantity: str) -> bool:
    """Whether a quantity stands in the files; ``value.excess`` is computed from several of them."""
    return "." not in quantity


_PLOTS = tuple(_built_in_plots())


def _own_plots(runs: Sequence[ChartedRun]) -> list[Plot]:
    """Charts of statistics of one's own, and of what ``env.log_info`` names."""
    known = {plot.name for plot in _PLOTS}
    found: dict[str, Plot] = {}
    for run in runs:
        for info in run.statistics:
            if info.name not in known:
                found.setdefault(info.name, statistic_plot(info if info.title else replace(info, title=info.name)))
        for name in run.tables["episodes"].names:
            if name.startswith(_INFO):
                title = name.removeprefix(_INFO)
                note = "Mean over the steps of an episode, from the environment's info."
                found.setdefault(name, Plot(name, title, note, "episodes", name, "env_step", "custom"))
    return list(found.values())


def _curve(run: ChartedRun, plot: Plot, axis: ChartAxis, index: int) -> dict[str, Any] | None:
    """A run's curve, thinned; ``None`` without a number."""
    table = run.tables[plot.source]
    x, y = table.column(axis), table.column(plot.quantity)
    if not x.size or not y.size:
        return None
    columns = [x, y]
    if plot.edges is not None:
        edges = [table.column(name) for name in plot.edges]
        columns += edges if all(edge.size for edge in edges) else []
    x, y, *band = _thin(np.array(columns), last=plot.quantity == _AVERAGE)
    if not x.size:
        return None
    curve = {"run": index, "x": _plain(x, 9), "y": _plain(y, 6)}
    return curve | ({"low": _plain(band[0], 6), "high": _plain(band[1], 6)} if band else {})


def _thin(columns: FloatArray, last: bool) -> FloatArray:
    """``[quantities, points]`` in order of the first quantity, without points that are not finite. Of points within one of
    ``_MAX_POINTS`` parts of the way, as where workers end their episodes together, there is the mean, or the last."""
    columns = columns[:, np.isfinite(columns[:2]).all(axis=0)]
    columns = columns[:, np.argsort(columns[0], kind="stable")]
    x, count = columns[0], columns.shape[1]
    if count < 2:
        return columns
    width = (x[-1] - x[0]) / _MAX_POINTS or 1.0
    parts = np.minimum((x - x[0]) // width, _MAX_POINTS - 1)
    starts = np.flatnonzero(np.diff(parts, prepend=-1.0))
    if last:
        return columns[:, np.append(starts[1:], count) - 1]
    means: FloatArray = np.add.reduceat(columns, starts, axis=1) / np.diff(np.append(starts, count))
    return means


def _plain(values: FloatArray, digits: int) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.tolist()]


def _repeats(drawn: Mapping[str, Mapping[str, Any]], plot: Plot) -> bool:
    """Whether a chart only repeats the one that it is not to be shown beside, in every run."""
    other = drawn.get(plot.hidden_if_equal_to)
    if other is None or not _has_all_runs_of(drawn, plot.name, other["name"]):
        return False
    pairs = zip(drawn[plot.name]["curves"], other["curves"], strict=True)
    return all(len(a["y"]) == len(b["y"]) and np.allclose(a["y"], b["y"], rtol=_SAME) for a, b in pairs)


def _has_all_runs_of(drawn: Mapping[str, Mapping[str, Any]], name: str, other: str) -> bool:
    ours, theirs = ([curve["run"] for curve in drawn[one]["curves"]] for one in (name, other))
    return ours == theirs
