"""Figures of what an ablation comes to: effects, ends over what was varied, performance profiles, predicted wall times."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from a3c_exp.config.ablation import WallTimeTraining
from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.ablations.effect_estimates import Decision, EffectEstimate
from a3c_exp.report.ablations.verdicts import Verdict
from a3c_exp.report.ablations.wall_time_model import Changes, MeasuredCosts, predict_seconds
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.curves import curve_metrics, learning_curves
from a3c_exp.report.figures import panels, svg
from a3c_exp.report.figures.panels import CaptionedFigure
from a3c_exp.report.figures.style import CHARACTER_WIDTH, SMALL_TEXT_SIZE, Axes, set_number_ticks
from a3c_exp.stats.estimates import MIN_SEEDS, interquartile_mean, performance_profile, profile_band, seed_interval

_NO_DIFFERENCE: Decision = "no difference that matters"
_DECISION_COLORS: dict[Decision, svg.ThemeColor] = {
    "supported": svg.SERIES_COLORS[2],
    "not supported": svg.SERIES_COLORS[5],
    "reversed": svg.SERIES_COLORS[1],
    _NO_DIFFERENCE: svg.SERIES_COLORS[0],
    "undecided": svg.OTHER_COLOR,
}
_MAX_DRAWN_EFFECT = 5.0  # effects are drawn up to five times what is clear
_ROW_HEIGHT = 13.0  # points


def effect_figure(verdicts: Sequence[Verdict]) -> CaptionedFigure | None:
    """One claim: each part's effect in every comparison, in units of what would be clear; ``None`` without any."""
    claim = verdicts[0].claim
    rows = [
        (verdict, change)
        for verdict in verdicts
        for change in dict.fromkeys(effect.change for effect in verdict.effects if math.isfinite(effect.effect))
    ]
    if not rows:
        return None
    labels = _row_labels(rows, several=len(claim.changes) > 1)
    left = min(150.0, 8.0 + 0.86 * CHARACTER_WIDTH * max(map(len, labels)))
    title, columns = f"{claim.number}. {claim.title}", [part.text for part in claim.parts]
    margins = panels.Margins(left=left, top=50.0, column_gap=13.0)
    figure, axes = panels.panel_grid(title, columns, height=_ROW_HEIGHT * len(rows) + 6.0, margins=margins)
    for column, (part, panel) in enumerate(zip(claim.parts, axes[0], strict=True)):
        panel.axvspan(-1.0, 1.0, color=svg.GRID_COLOR.light, alpha=0.45, linewidth=0)
        panel.axvline(0.0, color=svg.TEXT_COLOR.light, linewidth=0.7)
        for row, (verdict, change) in enumerate(rows):
            for effect in verdict.effects:
                if effect.part == part and effect.change == change:
                    _draw_effect(panel, -float(row), effect, verdict.measure == "evaluation")
        panel.set_xlim(-_MAX_DRAWN_EFFECT, _MAX_DRAWN_EFFECT)
        panel.set_ylim(-len(rows) + 0.4, 0.6)
        row_labels = labels if column == 0 else [""] * len(rows)
        panel.set_yticks([-float(row) for row in range(len(rows))], row_labels, fontsize=SMALL_TEXT_SIZE)
        panel.set_xticks([-4, -1, 1, 4], ["\N{MINUS SIGN}4", "\N{MINUS SIGN}1", "1", "4"], fontsize=SMALL_TEXT_SIZE)
        panel.grid(False)
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.0}
    decisions = {effect.decision for verdict in verdicts for effect in verdict.effects}
    shown = {name: color.light for name, color in _DECISION_COLORS.items() if name != _NO_DIFFERENCE}
    if _NO_DIFFERENCE in decisions:  # five names are too many for a row, and grey says itself what it is
        shown = {name: _DECISION_COLORS[name].light for name in _DECISION_COLORS if name in decisions - {"undecided"}}
    entries = [(name.removesuffix(" that matters"), {**dot, "color": color}) for name, color in shown.items()]
    panels.add_legend_row(figure, entries)
    panels.set_shared_x_label(figure, "effect \N{RIGHTWARDS ARROW} as claimed; 1 is clear")
    caption = (
        "Thick: 95 % interval of the effect alone; thin: the one behind the verdict, which holds together with all others. "
        "Grey band: too small to be clear. Round: training curve; square: standard evaluation."
    ) + (" Grey dots: undecided." if "undecided" not in shown else "")
    return CaptionedFigure(f"effects_{claim.number}", f"Conclusion {claim.number}: effects by protocol", caption, figure)


def range_figure(comparisons: Sequence[ControlledComparison]) -> CaptionedFigure | None:
    """Where runs of one ablation and environment end and how high they are on the way, by value; ``None`` without numbers."""
    ablation, report, env = comparisons[0].ablation, comparisons[0].report, comparisons[0].report.control.env
    arms = list(dict.fromkeys(arm for comparison in comparisons for arm in comparison.arms))
    metrics = [[evaluation_metrics(comparison, arm) for arm in arms] for comparison in comparisons]
    if not any(values.size for of_arms in metrics for pair in of_arms for values in pair):
        return None
    title = (report.heading or ablation.replace("_", " ")) + (f" on {env}" if env else "")
    several = len(comparisons) > 1
    margins = panels.Margins(top=52.0 if several else 36.0)
    figure, ((end, way),) = panels.panel_grid(title, ["at the end", "on the way"], height=110.0, margins=margins)
    for column, panel in enumerate((end, way)):
        for index, (of_arms, color) in enumerate(zip(metrics, svg.SERIES_COLORS, strict=False)):
            shift = (index - (len(comparisons) - 1) / 2) * 0.22
            _draw_range(panel, [pair[column] for pair in of_arms], shift, color.light)
        panel.set_xticks(range(len(arms)), arms, fontsize=SMALL_TEXT_SIZE)
        panel.set_xlim(-0.6, len(arms) - 0.4)
        panel.tick_params(axis="y", labelsize=SMALL_TEXT_SIZE, labelleft=panel is end)
    lows, highs = zip(end.get_ylim(), way.get_ylim(), strict=True)
    panels.set_y_label(end, "evaluation return")
    for panel in (end, way):
        panel.set_ylim(min(lows), max(highs))
    if several:
        names = [comparison.title.rpartition(", ")[2] for comparison in comparisons]
        panels.add_legend_row(figure, panels.series_entries(names, marker="o", markersize=3.5))
    panels.set_shared_x_label(figure, report.axis_label or str(report.varied))
    caption = (
        "Return of the standard evaluation: mean of the last tenth of a run, and of the whole. Interquartile mean over seeds "
        "with its 95 % bootstrap interval; small dots: single seeds."
    )
    return CaptionedFigure(f"range_{ablation}_{env.lower()}" if env else f"range_{ablation}", title, caption, figure)


def profile_figure(comparisons: Sequence[ControlledComparison]) -> CaptionedFigure | None:
    """Share of seeds that end above each return, for two comparisons side by side; ``None`` with too few seeds."""
    ends = {comparison: {arm: evaluation_metrics(comparison, arm)[0] for arm in comparison.arms} for comparison in comparisons}
    shown = [one for one in comparisons if all(values.size >= MIN_SEEDS for values in ends[one].values())][:2]
    if not shown:
        return None
    returns = np.concatenate([values for comparison in shown for values in ends[comparison].values()])
    margin = 0.05 * max(float(np.ptp(returns)), 1e-9)
    levels = np.linspace(returns.min() - margin, returns.max() + margin, 121)
    heads, margins = [one.title for one in shown], panels.Margins(top=52.0)
    figure, axes = panels.panel_grid("Seeds that end above each return", heads, height=100.0, margins=margins)
    for panel, comparison in zip(axes[0], shown, strict=True):
        for values, color in zip(ends[comparison].values(), svg.SERIES_COLORS, strict=False):
            panel.fill_between(levels, *profile_band(values, levels), color=color.light, alpha=0.15, linewidth=0)
            panel.plot(levels, performance_profile(values, levels), color=color.light, linewidth=1.6)
        panel.set_ylim(0.0, 1.03)
        set_number_ticks(panel.xaxis, 3, shared_unit=False)
        panel.tick_params(labelsize=SMALL_TEXT_SIZE, labelleft=panel is axes[0][0])
    panels.add_legend_row(figure, panels.series_entries(list(map(shown[0].arm_label, shown[0].arms))))
    panels.set_y_label(axes[0][0], "share of seeds")
    panels.set_shared_x_label(figure, "Evaluation return, mean of the last tenth of a run")
    title = f"Performance profiles, {shown[0].ablation.replace('_', ' ')}"
    caption = "Higher and further right is better; band: pointwise 95 % bootstrap interval over seeds."
    return CaptionedFigure(f"profile_{shown[0].ablation}", title, caption, figure)


def wall_time_figure(costs: MeasuredCosts, changes: Changes, training: WallTimeTraining) -> CaptionedFigure:
    """Predicted minutes of a training, over the cores of a machine."""
    workers = list(dict.fromkeys(count for change in changes for count in change))
    cores, heads, highest = np.arange(1, 17), ["one process a worker", "one process a core"], 0.0
    title = f"Predicted minutes, {training.episodes} episodes of {training.steps} steps"
    figure, axes = panels.panel_grid(title, heads, height=100.0, margins=panels.Margins(top=52.0))
    windows = training.episodes * training.steps / costs.n_step
    widths = np.linspace(3.4, 1.2, len(workers))  # where lines coincide, all are seen
    for panel, stacked in zip(axes[0], (False, True), strict=True):
        for count, color, width in zip(workers, svg.SERIES_COLORS, widths, strict=False):
            seconds = np.array([predict_seconds(costs, count, int(number), windows, stacked) for number in cores])  # [cores, R]
            low, middle, high = np.quantile(seconds / 60.0, (0.025, 0.5, 0.975), axis=1)
            panel.fill_between(cores, low, high, color=color.light, alpha=0.15, linewidth=0, step="mid")
            panel.step(cores, middle, where="mid", color=color.light, linewidth=width)
            highest = max(highest, float(high.max()))
        panel.axvline(training.cores, color=svg.TEXT_COLOR.light, linewidth=0.7, linestyle=(0, (1, 3)))
        panel.set_xlim(1.0, 16.0)
        panel.set_xticks([1, 4, 8, 12, 16], ["1", "4", "8", "12", "16"], fontsize=SMALL_TEXT_SIZE)
        panels.align_end_ticks_inside(panel)
        panel.tick_params(axis="y", labelsize=SMALL_TEXT_SIZE, labelleft=panel is axes[0][0])
    for panel in axes[0]:
        panel.set_ylim(0.0, 1.08 * highest)
    panels.add_legend_row(figure, panels.series_entries([f"{count} workers" for count in workers]))
    panels.set_y_label(axes[0][0], "minutes")
    panels.set_shared_x_label(figure, "Cores")
    caption = (
        f"From what rollouts, gradients and updates cost on one core of {costs.host or 'this machine'}; dotted: the "
        f"{training.cores} cores of the claim's own machine. Fewer workers take longer only where they leave cores idle."
    )
    return CaptionedFigure("clock_predicted", "Predicted wall time over cores", caption, figure)


def evaluation_metrics(comparison: ControlledComparison, arm: str) -> tuple[FloatArray, FloatArray]:
    """Of each run of an arm: its evaluation at the end, and on the way; both ``[runs]``."""
    curves = learning_curves(comparison.arms.get(arm, ()), "evaluation", "env_step")
    metrics = [curve_metrics(curve, curve.x[-1]) for curve in curves]
    return np.array([run.final for run in metrics]), np.array([run.area for run in metrics])


def _row_labels(rows: Sequence[tuple[Verdict, str]], several: bool) -> list[str]:
    """The control where it begins, and the change where there are several."""
    labels, last = [], ""
    for verdict, change in rows:
        title = verdict.comparison.title
        short = change.removesuffix(" workers").replace(" to ", "\N{RIGHTWARDS ARROW}") if several else ""
        labels.append(f"{'' if title == last else title}  {short}".strip())
        last = title
    return labels


def _draw_effect(axes: Axes, height: float, effect: EffectEstimate, square: bool) -> None:
    if not math.isfinite(effect.effect):
        return
    color = _DECISION_COLORS[effect.decision].light
    for (low, high), width in ((effect.simultaneous_interval, 0.8), (effect.interval, 2.4)):
        edges = np.clip(np.array([low, high]) / effect.min_effect, -_MAX_DRAWN_EFFECT, _MAX_DRAWN_EFFECT)
        axes.plot(edges, [height, height], color=color, linewidth=width, solid_capstyle="butt")
    position = effect.effect / effect.min_effect
    beyond = abs(position) > 0.97 * _MAX_DRAWN_EFFECT
    marker = (">" if position > 0 else "<") if beyond else ("s" if square else "o")
    at = float(np.clip(position, -0.95 * _MAX_DRAWN_EFFECT, 0.95 * _MAX_DRAWN_EFFECT))
    axes.plot([at], [height], marker=marker, markersize=4.0, color=color, linestyle="")


def _draw_range(axes: Axes, groups: Sequence[FloatArray], shift: float, color: str) -> None:
    centers = [(index + shift, float(interquartile_mean(values))) for index, values in enumerate(groups) if values.size]
    for index, values in enumerate(groups):
        axes.plot(np.full(values.size, index + shift + 0.13), values, ".", color=color, markersize=3.0, alpha=0.5, linestyle="")
        if values.size >= MIN_SEEDS:
            low, high = seed_interval(values)
            axes.plot([index + shift] * 2, [low, high], color=color, linewidth=2.2, solid_capstyle="butt")
    axes.plot(*zip(*centers, strict=True), color=color, linewidth=0.9, marker="o", markersize=3.5)
