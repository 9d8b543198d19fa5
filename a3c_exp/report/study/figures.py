"""The figures of a study: how it went, what mattered, what was tried.

``optuna.visualization.matplotlib`` has the same six, without pruned trials, without the best trial marked, and in pyplot's
global state and style, which neither follow a dark screen nor can be read on a phone.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from a3c_exp.report.figures import svg
from a3c_exp.report.figures.multi_panel import FigureFiles, svg_text, with_figure_style
from a3c_exp.report.figures.style import TEXT_SIZE, WIDTH, compact_number
from a3c_exp.report.study.axes import configure_axis, limit_labels, positions, scaled_positions, shorten_start
from a3c_exp.report.study.reader import Parameter, StudyRecord, Trial
from a3c_exp.runs.tolerant_io import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

StudySection = Literal["course", "importance", "slices"]
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 26.0, 34.0
_COMPLETE_COLOR, _BEST_COLOR = svg.SERIES_COLORS[0].light, svg.SERIES_COLORS[1].light
_OTHER_COLOR = svg.OTHER_COLOR.light
_FULL_WIDTH = 660.0


def draw_study(record: StudyRecord) -> list[FigureFiles]:
    """All figures for which there are trials enough.

    Raises:
        A3CError: matplotlib is not installed.
    """
    figures = with_figure_style(lambda: list(_all_figures(record)))
    return [figure for figure in figures if figure is not None]


def _all_figures(record: StudyRecord) -> Iterator[FigureFiles | None]:
    several = len(record.objectives) > 1
    if several:
        yield _pareto_front(record)
    for index in range(len(record.objectives)):
        yield _history(record, index)
    if not several:
        yield _intermediate(record)
    for index in range(len(record.objectives)):
        yield _importances(record, index)
    yield _coordinates(record)
    for parameter in record.parameters:
        for index in range(len(record.objectives)):
            yield _slice(record, parameter, index)


def _history(record: StudyRecord, index: int) -> FigureFiles | None:
    complete, pruned = record.trials_in_state("complete"), _with_intermediate_values(record.trials_in_state("pruned"))
    if not complete:
        return None
    name, direction = record.objectives[index]
    figure, axes = _new_figure(f"{_quantity_label(name)} of each trial", "Trial")
    if len(record.objectives) == 1 and pruned:
        lasts = [trial.intermediate[-1][1] for trial in pruned]
        axes.plot([trial.number for trial in pruned], lasts, "x", color=_OTHER_COLOR, markersize=4.0, markeredgewidth=1.1)
    numbers, values = np.array([trial.number for trial in complete]), np.array([trial.values[index] for trial in complete])
    axes.plot(numbers, values, "o", color=_COMPLETE_COLOR, markersize=4.0, alpha=0.75, markeredgewidth=0)
    running = np.maximum.accumulate(values) if direction == "maximize" else np.minimum.accumulate(values)
    last = max(trial.number for trial in record.trials)
    axes.step([*numbers, last], [*running, running[-1]], where="post", color=_BEST_COLOR, linewidth=1.6)
    _set_integer_ticks(axes)
    caption = "Dots: complete trials; line: the best so far."
    if pruned and len(record.objectives) == 1:
        caption += f" Crosses: the last value of the {len(pruned)} pruned."
    return _render(figure, f"history_{index}", "course", caption, f"{name} of each trial")


def _intermediate(record: StudyRecord) -> FigureFiles | None:
    reported = [trial for trial in record.trials_in_state("complete", "pruned", "running") if trial.intermediate]
    if not reported:
        return None
    best = {trial.number for trial in record.best}
    name, _ = record.objectives[0]
    figure, axes = _new_figure(f"{_quantity_label(name)} while training", "Evaluations")
    order = sorted(reported, key=lambda trial: (trial.number in best, trial.state != "pruned"))
    for trial in order:
        steps, values = zip(*trial.intermediate, strict=True)
        look: dict[str, Any] = {"color": _COMPLETE_COLOR, "linewidth": 0.8, "alpha": 0.45}
        if trial.number in best:
            look = {"color": _BEST_COLOR, "linewidth": 1.9}
        elif trial.state == "pruned":
            look = {"color": _OTHER_COLOR, "linewidth": 0.9, "alpha": 0.9}
        axes.plot(steps, values, **look)
        if trial.state == "pruned":
            axes.plot(steps[-1:], values[-1:], "x", color=_OTHER_COLOR, markersize=3.6, markeredgewidth=1.1)
    _set_integer_ticks(axes)
    caption = "A line a trial: orange the best, blue complete ones, grey with a cross those that were pruned there."
    if len(record.study_json.get("seeds") or ()) > 1:
        caption += " Seeds train one after another; each point is the mean of the seeds so far at the same point of training."
    return _render(figure, "intermediate", "course", caption, f"{name} while training")


def _pareto_front(record: StudyRecord) -> FigureFiles | None:
    complete, best = record.trials_in_state("complete"), record.best
    if not complete:
        return None
    (across, _), (up, _) = record.objectives[1], record.objectives[0]
    figure, axes = _new_figure(_quantity_label(up), _quantity_label(across), x_margin=0.06)
    axes.plot(*_objective_pairs(complete), "o", color=_COMPLETE_COLOR, markersize=4.0, alpha=0.6, markeredgewidth=0)
    front = sorted(best, key=lambda trial: trial.values[1])
    axes.plot(*_objective_pairs(front), "-o", color=_BEST_COLOR, markersize=5.0, linewidth=1.2, markeredgewidth=0)
    for trial in front[:12]:
        at = (trial.values[1], trial.values[0])
        axes.annotate(str(trial.number), at, (4, -9), textcoords="offset points", color=_BEST_COLOR, fontsize=8)
    caption = "Orange: trials that no other beats in everything, with their numbers; blue: all others."
    return _render(figure, "front", "course", caption, f"{up} against {across}")


def _importances(record: StudyRecord, index: int) -> FigureFiles | None:
    known = [one for one in record.parameters if index < len(one.importance) and math.isfinite(one.importance[index])]
    if not known:
        return None
    known.sort(key=lambda one: one.importance[index])
    name, _ = record.objectives[index]
    labels = [shorten_start(one.name) for one in known]
    room = max(len(label) for label in labels) * 5.2 + 14.0
    height = 20.0 * len(known) + _TOP + 10.0
    figure, axes = _new_figure(f"Importance for {_quantity_label(name, False)}", None, height=height, left=room, bottom=10.0)
    shares = [one.importance[index] for one in known]
    axes.barh(labels, shares, color=_COMPLETE_COLOR, height=0.62)
    for at, share in enumerate(shares):
        axes.annotate(f"{share:.0%}", (share, at), (4, 0), textcoords="offset points", va="center", fontsize=TEXT_SIZE)
    axes.set_xlim(0.0, max(shares) * 1.18)
    axes.grid(False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    num_complete = len(record.trials_in_state("complete"))
    caption = f"Importance by PED-ANOVA over {num_complete} complete trials: what distinguishes the better ones."
    return _render(figure, f"importance_{index}", "importance", caption, f"importance of parameters for {name}")


def _slice(record: StudyRecord, parameter: Parameter, index: int) -> FigureFiles | None:
    trials = [trial for trial in record.trials_in_state("complete") if parameter.name in trial.params]
    if len(trials) < 2:
        return None
    name, _ = record.objectives[index]
    figure, axes = _new_figure(shorten_start(parameter.name, 40), "", height=158.0, x_margin=0.05, bottom=24.0)
    x = positions(parameter, [trial.params[parameter.name] for trial in trials])
    configure_axis(axes, parameter)
    values = [trial.values[index] for trial in trials]
    axes.plot(x, values, "o", color=_COMPLETE_COLOR, markersize=3.8, alpha=0.6, markeredgewidth=0)
    best = {trial.number for trial in record.best}
    marked = [(at, value) for at, value, trial in zip(x, values, trials, strict=True) if trial.number in best]
    if marked:
        axes.plot(*zip(*marked, strict=True), "o", color=_BEST_COLOR, markersize=5.2, markeredgewidth=0)
    file_name = "slice_" + "".join(char if char.isalnum() else "_" for char in parameter.name) + f"_{index}"
    caption = f"{_quantity_label(name)} against {parameter.name}; orange: the best."
    return _render(figure, file_name, "slices", caption, f"{name} against {parameter.name}")


def _coordinates(record: StudyRecord) -> FigureFiles | None:
    shown = [one for one in record.parameters if not _has_single_value(record, one)][:8]
    trials = [trial for trial in record.trials_in_state("complete") if all(one.name in trial.params for one in shown)]
    if len(shown) < 2 or len(trials) < 2:
        return None
    name, direction = record.objectives[0]
    from matplotlib.figure import Figure

    height = 226.0
    figure = Figure(figsize=(_FULL_WIDTH / 72, height / 72))
    axes = figure.add_axes((40.0 / _FULL_WIDTH, 34.0 / height, (_FULL_WIDTH - 100.0) / _FULL_WIDTH, (height - 62.0) / height))
    values = np.array([trial.values[0] for trial in trials])
    way = 1.0 if direction == "maximize" else -1.0
    rank = (way * values).argsort().argsort() / max(1, len(values) - 1)
    columns = [scaled_positions(one, [trial.params[one.name] for trial in trials]) for one in shown]
    columns.append((values - values.min()) / max(float(np.ptp(values)), 1e-12))
    table = np.array(columns)
    for at in rank.argsort():
        top = rank[at] >= 0.75
        color, alpha = (_BEST_COLOR, 0.9) if rank[at] == 1.0 else (_COMPLETE_COLOR, 0.65) if top else (_OTHER_COLOR, 0.28)
        width = 2.0 if rank[at] == 1.0 else 1.1 if top else 0.7
        axes.plot(range(len(table)), table[:, at], color=color, alpha=alpha, linewidth=width)
    for at, parameter in enumerate([*shown, None]):
        axes.axvline(at, color=svg.GRID_COLOR.light, linewidth=0.8, zorder=0)
        low, high = (
            limit_labels(parameter) if parameter else (compact_number(float(values.min())), compact_number(float(values.max())))
        )
        label = shorten_start(parameter.name if parameter else name, 18)
        axes.annotate(high, (at, 1.0), (0, 4), textcoords="offset points", ha="center", fontsize=8)
        axes.annotate(low, (at, 0.0), (0, -11), textcoords="offset points", ha="center", fontsize=8)
        axes.annotate(label, (at, 0.0), (0, -24), textcoords="offset points", ha="center", weight="bold", fontsize=8.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.02, len(table) - 1 + 0.02)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(False)
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    figure.text(4.0 / _FULL_WIDTH, 1.0 - 12.0 / height, "What was tried together", fontsize=TEXT_SIZE, weight="bold")
    caption = "A line a complete trial: orange the best, blue the best quarter, grey the rest."
    return _render(figure, "coordinates", "importance", caption, "parallel coordinates of all trials", wide=True)


def _new_figure(
    title: str, x_label: str | None, height: float = 206.0, left: float = _LEFT, bottom: float = _BOTTOM, x_margin: float = 0.0
) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = Figure(figsize=(WIDTH / 72, height / 72))
    size = ((WIDTH - left - _RIGHT) / WIDTH, (height - bottom - _TOP) / height)
    axes = figure.add_axes((left / WIDTH, bottom / height, *size))
    axes.set_xmargin(x_margin)
    if x_label is not None:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value, axes.get_xlim())))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value, axes.get_ylim())))
    axes.set_xlabel(x_label or "", labelpad=2.0)
    figure.text(4.0 / WIDTH, 1.0 - 14.0 / height, printable(title), fontsize=TEXT_SIZE, weight="bold")
    return figure, axes


def _set_integer_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xmargin(0.03)
    axes.autoscale_view()


def _render(figure: "Figure", name: str, section: StudySection, caption: str, title: str, wide: bool = False) -> FigureFiles:
    text = svg_text(figure)
    return FigureFiles(name, caption, svg.standalone(text, title), svg.inline(text, name, title), b"", section, wide)


def _has_single_value(record: StudyRecord, parameter: Parameter) -> bool:
    return len({repr(trial.params.get(parameter.name)) for trial in record.trials_in_state("complete")}) < 2


def _objective_pairs(trials: Sequence[Trial]) -> tuple[list[float], list[float]]:
    return [trial.values[1] for trial in trials], [trial.values[0] for trial in trials]


def _with_intermediate_values(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.intermediate]


def _quantity_label(name: str, capitalize: bool = True) -> str:
    """``evaluation.mean`` in words."""
    known = {"evaluation.mean": "mean evaluation return", "best_evaluation.mean": "best mean evaluation return",
             "wall_time": "seconds of training", "recent_return": "training return"}  # fmt: skip
    words = known.get(name, name.replace("_", " ").replace(".", " "))
    return words[:1].upper() + words[1:] if capitalize else words
