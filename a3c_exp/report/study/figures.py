"""The figures of a study: how it went, what mattered, what was tried. Optuna's own mark neither pruned trials nor the best."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from a3c_exp.report.figures import style, svg
from a3c_exp.report.figures.panels import CaptionedFigure, FigureFiles, Margins, new_plot, panel_grid, render_figure
from a3c_exp.report.study.reader import Parameter, StudyRecord
from a3c_exp.runs.tolerant_io import printable

_COMPLETE_COLOR, _BEST_COLOR = svg.SERIES_COLORS[0].light, svg.SERIES_COLORS[1].light
_OTHER_COLOR = svg.OTHER_COLOR.light
_MARGINS = Margins(left=46.0, right=12.0, top=26.0)
_MAX_COORDINATES = 8  # parameters that are drawn side by side


def draw_study(record: StudyRecord) -> list[FigureFiles]:
    """All figures for which there are trials enough. Raises A3CError if matplotlib is not installed."""
    with style.figure_style():
        return [render_figure(figure) for figure in _all_figures(record) if figure is not None]


def _all_figures(record: StudyRecord) -> Iterator[CaptionedFigure | None]:
    objectives = range(len(record.objectives))
    if len(objectives) > 1:
        yield _pareto_front(record)
    yield from (_history(record, index) for index in objectives)
    if len(objectives) == 1:
        yield _intermediate(record)
    yield from (_importances(record, index) for index in objectives)
    yield _coordinates(record)
    yield from (_slice(record, parameter, index) for parameter in record.parameters for index in objectives)


def _history(record: StudyRecord, index: int) -> CaptionedFigure | None:
    complete = record.trials_in_state("complete")
    pruned = [trial for trial in record.trials_in_state("pruned") if trial.intermediate and len(record.objectives) == 1]
    if not complete:
        return None
    name, direction = record.objectives[index]
    figure, axes = new_plot(f"{_quantity_label(name)} of each trial", "Trial", 146.0, _MARGINS, whole_numbers=True)
    axes.set_xmargin(0.03)
    if pruned:
        lasts = [trial.intermediate[-1][1] for trial in pruned]
        axes.plot([trial.number for trial in pruned], lasts, "x", color=_OTHER_COLOR, markersize=4.0, markeredgewidth=1.1)
    numbers, values = [trial.number for trial in complete], np.array([trial.values[index] for trial in complete])
    axes.plot(numbers, values, "o", color=_COMPLETE_COLOR, markersize=4.0, alpha=0.75, markeredgewidth=0)
    running = np.maximum.accumulate(values) if direction == "maximize" else np.minimum.accumulate(values)
    last = max(trial.number for trial in record.trials)
    axes.step([*numbers, last], [*running, running[-1]], where="post", color=_BEST_COLOR, linewidth=1.6)
    caption = "Dots: complete trials; line: the best so far."
    if pruned:
        caption += f" Crosses: the last value of the {len(pruned)} pruned."
    return CaptionedFigure(f"history_{index}", f"{name} of each trial", caption, figure, "course")


def _intermediate(record: StudyRecord) -> CaptionedFigure | None:
    reported = [trial for trial in record.trials_in_state("complete", "pruned", "running") if trial.intermediate]
    if not reported:
        return None
    name, _ = record.objectives[0]
    figure, axes = new_plot(f"{_quantity_label(name)} while training", "Evaluations", 146.0, _MARGINS, whole_numbers=True)
    axes.set_xmargin(0.03)
    for trial in sorted(reported, key=lambda trial: (trial in record.best, trial.state != "pruned")):
        steps, values = zip(*trial.intermediate, strict=True)
        look: dict[str, Any] = {"color": _COMPLETE_COLOR, "linewidth": 0.8, "alpha": 0.45}
        if trial in record.best:
            look = {"color": _BEST_COLOR, "linewidth": 1.9}
        elif trial.state == "pruned":
            look = {"color": _OTHER_COLOR, "linewidth": 0.9, "alpha": 0.9}
        axes.plot(steps, values, **look)
        if trial.state == "pruned":
            axes.plot(steps[-1:], values[-1:], "x", color=_OTHER_COLOR, markersize=3.6, markeredgewidth=1.1)
    caption = "A line a trial: orange the best, blue complete ones, grey with a cross those that were pruned there."
    if len(record.study_json.get("seeds") or ()) > 1:
        caption += " Seeds train one after another; each point is the mean of the seeds so far at the same point of training."
    return CaptionedFigure("intermediate", f"{name} while training", caption, figure, "course")


def _pareto_front(record: StudyRecord) -> CaptionedFigure | None:
    if not (complete := record.trials_in_state("complete")):
        return None
    (up, _), (across, _) = record.objectives[:2]
    figure, axes = new_plot(_quantity_label(up), _quantity_label(across), 146.0, _MARGINS)
    axes.set_xmargin(0.06)
    points = [(trial.values[1], trial.values[0]) for trial in complete]
    axes.plot(*zip(*points, strict=True), "o", color=_COMPLETE_COLOR, markersize=4.0, alpha=0.6, markeredgewidth=0)
    front = sorted(((trial.values[1], trial.values[0]), trial.number) for trial in record.best)
    points = [point for point, _ in front]
    axes.plot(*zip(*points, strict=True), "-o", color=_BEST_COLOR, markersize=5.0, linewidth=1.2, markeredgewidth=0)
    for point, number in front[:12]:
        look: dict[str, Any] = {"color": _BEST_COLOR, "fontsize": style.SMALL_TEXT_SIZE}
        axes.annotate(str(number), point, (4, -9), textcoords="offset points", **look)
    caption = "Orange: trials that no other beats in everything, with their numbers; blue: all others."
    return CaptionedFigure("front", f"{up} against {across}", caption, figure, "course")


def _importances(record: StudyRecord, index: int) -> CaptionedFigure | None:
    shares = {one.name: one.importance[index] for one in record.parameters if math.isfinite(one.importance[index])}
    if not shares:
        return None
    shares = dict(sorted(shares.items(), key=lambda item: item[1]))
    name, _ = record.objectives[index]
    labels = list(map(shorten_start, shares))
    left = max(map(len, labels)) * 5.2 + 14.0
    title = f"Importance for {_quantity_label(name, False)}"
    figure, ((axes,),) = panel_grid(title, height=20.0 * len(labels), margins=replace(_MARGINS, left=left, bottom=10.0))
    axes.barh(labels, list(shares.values()), color=_COMPLETE_COLOR, height=0.62)
    for at, share in enumerate(shares.values()):
        axes.annotate(f"{share:.0%}", (share, at), (4, 0), textcoords="offset points", va="center", fontsize=style.TEXT_SIZE)
    axes.set_xlim(0.0, max(shares.values()) * 1.18)
    axes.grid(False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    num_complete = len(record.trials_in_state("complete"))
    caption = f"Importance by PED-ANOVA over {num_complete} complete trials: what distinguishes the better ones."
    return CaptionedFigure(f"importance_{index}", f"importance of parameters for {name}", caption, figure, "importance")


def _slice(record: StudyRecord, parameter: Parameter, index: int) -> CaptionedFigure | None:
    trials = [trial for trial in record.trials_in_state("complete") if parameter.name in trial.params]
    if len(trials) < 2:
        return None
    name, _ = record.objectives[index]
    figure, axes = new_plot(shorten_start(parameter.name, 40), "", 108.0, replace(_MARGINS, bottom=24.0))
    axes.set_xmargin(0.05)
    _set_parameter_axis(axes, parameter)
    points = [(parameter.position(trial.params[parameter.name]), trial.values[index]) for trial in trials]
    axes.plot(*zip(*points, strict=True), "o", color=_COMPLETE_COLOR, markersize=3.8, alpha=0.6, markeredgewidth=0)
    if marked := [point for point, trial in zip(points, trials, strict=True) if trial in record.best]:
        axes.plot(*zip(*marked, strict=True), "o", color=_BEST_COLOR, markersize=5.2, markeredgewidth=0)
    file_name = "slice_" + "".join(char if char.isalnum() else "_" for char in parameter.name) + f"_{index}"
    caption = f"{_quantity_label(name)} against {parameter.name}; orange: the best."
    return CaptionedFigure(file_name, f"{name} against {parameter.name}", caption, figure, "slices")


def _coordinates(record: StudyRecord) -> CaptionedFigure | None:
    complete = record.trials_in_state("complete")
    varied = [one for one in record.parameters if len({repr(trial.params.get(one.name)) for trial in complete}) > 1]
    shown = varied[:_MAX_COORDINATES]
    trials = [trial for trial in complete if all(one.name in trial.params for one in shown)]
    if len(shown) < 2 or len(trials) < 2:
        return None
    name, direction = record.objectives[0]
    margins = Margins(left=40.0, right=60.0, top=28.0, title=12.0)
    figure, ((axes,),) = panel_grid("What was tried together", height=164.0, margins=margins, width=660.0)
    values = np.array([trial.values[0] for trial in trials])
    rank = ((1.0 if direction == "maximize" else -1.0) * values).argsort().argsort() / max(1, len(values) - 1)
    columns = [[one.share_of_range(trial.params[one.name]) for trial in trials] for one in shown]
    table = np.array([*columns, (values - values.min()) / max(float(np.ptp(values)), 1e-12)])
    for at in rank.argsort():
        color, alpha, width = _OTHER_COLOR, 0.28, 0.7
        if rank[at] >= 0.75:
            color, alpha, width = (_BEST_COLOR, 0.9, 2.0) if rank[at] == 1.0 else (_COMPLETE_COLOR, 0.65, 1.1)
        axes.plot(range(len(table)), table[:, at], color=color, alpha=alpha, linewidth=width)
    ends = [(*_limit_labels(one), one.name) for one in shown]
    ends.append((style.compact_number(float(values.min())), style.compact_number(float(values.max())), name))
    for at, (low, high, label) in enumerate(ends):
        axes.axvline(at, color=svg.GRID_COLOR.light, linewidth=0.8, zorder=0)
        text: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
        axes.annotate(high, (at, 1.0), (0, 4), fontsize=style.SMALL_TEXT_SIZE, **text)
        axes.annotate(low, (at, 0.0), (0, -11), fontsize=style.SMALL_TEXT_SIZE, **text)
        axes.annotate(shorten_start(label, 18), (at, 0.0), (0, -24), weight="bold", fontsize=8.5, **text)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.02, len(table) - 1 + 0.02)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(False)
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    caption = "A line a complete trial: orange the best, blue the best quarter, grey the rest."
    return CaptionedFigure("coordinates", "parallel coordinates of all trials", caption, figure, "importance", wide=True)


def _set_parameter_axis(axes: style.Axes, parameter: Parameter) -> None:
    """Let the axis to the right show the parameter's full range, on its scale."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    if parameter.choices:
        labels = [shorten_start(str(choice), 12) for choice in parameter.choices]
        axes.xaxis.set_major_locator(FixedLocator(range(len(labels))))
        names = dict(enumerate(labels))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(round(value), "")))
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.autoscale(False, axis="x")
    elif parameter.log:
        axes.set_xscale("log")
        axes.set_xlim(parameter.low / 1.15, parameter.high * 1.15)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        margin = 0.04 * (parameter.high - parameter.low)
        axes.set_xlim(parameter.low - margin, parameter.high + margin)


def _limit_labels(parameter: Parameter) -> Sequence[str]:
    if parameter.choices:
        return [shorten_start(str(parameter.choices[end]), 12) for end in (0, -1)]
    return f"{parameter.low:.3g}", f"{parameter.high:.3g}"


def shorten_start(name: str, max_length: int = 26) -> str:
    """The end of a long name, which tells more than its beginning."""
    text = printable(name)
    return text if len(text) <= max_length else "\N{HORIZONTAL ELLIPSIS}" + text[1 - max_length :]


def _quantity_label(name: str, capitalize: bool = True) -> str:
    """``evaluation.mean`` in words."""
    known = {"evaluation.mean": "mean evaluation return", "best_evaluation.mean": "best mean evaluation return",
             "wall_time": "seconds of training", "recent_return": "training return"}  # fmt: skip
    words = known.get(name, printable(name.replace("_", " ").replace(".", " ")))
    return words[:1].upper() + words[1:] if capitalize else words
