"""Learning curves and policy lags of an ablation: one panel an arm, side by side."""

from collections.abc import Sequence

import numpy as np

from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.curves import MEASURES, Curve, Measure, lag_shares, learning_curves, quartile_band
from a3c_exp.report.figures import panels, svg
from a3c_exp.report.figures.style import AXIS_TITLES, SMALL_TEXT_SIZE, Axes, set_number_ticks

_NUM_POINTS = 80  # of a line; more only show noise
_MEASURE_TITLES: dict[Measure, str] = {"training": "Training: mean step reward", "evaluation": "Evaluation: mean return"}


def learning_curve_figure(comparison: ControlledComparison) -> panels.CaptionedFigure | None:
    """Training above, evaluation below, over what the budget is counted in; ``None`` if no arm has a curve."""
    arms = comparison.arms
    curves = {measure: [learning_curves(runs, measure, comparison.axis) for runs in arms.values()] for measure in MEASURES}
    if not any(map(any, curves.values())):
        return None
    subject = f"{comparison.label[:1].upper()}{comparison.label[1:]}, {comparison.title}"
    labels = list(map(comparison.arm_label, arms))
    figure, axes = panels.panel_grid(subject, labels, 2, height=92.0, margins=panels.Margins(top=46.0))
    for measure, row in zip(MEASURES, axes, strict=True):
        limits = _shared_limits([curve for found in curves[measure] for curve in found])
        for found, panel, color in zip(curves[measure], row, svg.SERIES_COLORS, strict=False):
            _draw_curves(panel, found, color.light)
            threshold = getattr(comparison.report.learned, measure)
            if np.isfinite(threshold):
                panel.axhline(threshold, color=svg.TEXT_COLOR.light, linewidth=0.6, linestyle=(0, (1, 3)))
            panel.set_ylim(*limits)
            panel.set_xlim(0.0, max((curve.x[-1] for curve in found), default=1.0))
            _set_ticks(panel, first=panel is row[0], last=row is axes[-1])
        panels.set_y_label(row[0], "reward of a step" if measure == "training" else "return")
        box = row[0].get_position()
        lines = 0.5 if measure == "evaluation" else 1.6  # of text above the panels
        y = box.y1 + (lines * 10.0 + 1.0) / 72 / figure.get_figheight()
        figure.text(box.x0, y, _MEASURE_TITLES[measure], fontsize=SMALL_TEXT_SIZE, style="italic")
    panels.set_shared_x_label(figure, AXIS_TITLES[comparison.axis])
    above = "the moving average" if comparison.axis == "episode" else "mean reward of a step in each fortieth of the run"
    caption = (
        f"Above {above}, below the return of the standard evaluation. Line and band: median and middle half of the "
        "seeds; thin: single seeds; dotted: what counts as learned."
    )
    name = f"{comparison.ablation}_{comparison.key}"
    return panels.CaptionedFigure(name, f"{subject}: learning curves", caption, figure)


def lag_figure(virtual: ControlledComparison, real: ControlledComparison) -> panels.CaptionedFigure | None:
    """How stale gradients were, in virtual time and in real asynchrony; ``None`` where an arm has no histogram."""
    arms = [arm for arm in real.arms if arm in virtual.arms]
    pairs = [[lag_shares(comparison.arms[arm]) for comparison in (virtual, real)] for arm in arms]
    histograms = [[curve for curve in pair if curve is not None] for pair in pairs]
    if not arms or any(len(pair) < 2 for pair in histograms):
        return None
    title = f"Policy lag, {real.label}"
    figure, axes = panels.panel_grid(title, list(map(real.arm_label, arms)), height=90.0, margins=panels.Margins(top=52.0))
    highest = max(float(curve.y.max()) for pair in histograms for curve in pair)
    for pair, panel in zip(histograms, axes[0], strict=True):
        largest_lag = 1.0
        for curve, color in zip(pair, svg.SERIES_COLORS, strict=False):
            panel.step(curve.x, curve.y, where="mid", color=color.light, linewidth=1.4)
            panel.fill_between(curve.x, 0.0, curve.y, step="mid", color=color.light, alpha=0.15, linewidth=0)
            nearly_all = np.flatnonzero(np.cumsum(curve.y) >= 0.995)
            largest_lag = max(largest_lag, float(curve.x[nearly_all[0]]) if nearly_all.size else 1.0)
        panel.set_xlim(-0.5, 1.15 * largest_lag + 1.0)
        panel.set_ylim(0.0, 1.08 * highest)
        _set_ticks(panel, first=panel is axes[0][0])
    panels.add_legend_row(figure, panels.series_entries(["deterministic", "hogwild"]))
    panels.set_y_label(axes[0][0], "share of pushes")
    panels.set_shared_x_label(figure, "Updates between pull and push")
    caption = "Share of pushes at each policy lag; the rare longest are cut off on the right."
    return panels.CaptionedFigure(f"lag_{real.ablation}", f"{title}: deterministic and hogwild", caption, figure)


def _draw_curves(axes: Axes, curves: Sequence[Curve], color: str) -> None:
    band = quartile_band(curves, _NUM_POINTS)
    faint = 1.0 if band is None else max(0.15, 0.45 * min(1.0, 4.0 / len(curves)))
    for item in curves:
        x = np.linspace(item.x[0], item.x[-1], _NUM_POINTS) if item.x.size > _NUM_POINTS else item.x
        axes.plot(x, np.interp(x, item.x, item.y), color=color, linewidth=0.6, alpha=faint)
    if band is not None:
        axes.fill_between(band.x, band.low, band.high, color=color, alpha=0.2, linewidth=0)
        axes.plot(band.x, band.middle, color=color, linewidth=1.7)


def _shared_limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """The same for all panels of a row; of single wild points nothing is seen."""
    heights = np.concatenate([item.y for item in curves]) if curves else np.zeros(1)
    low, high = (float(edge) for edge in np.quantile(heights, (0.002, 1.0)))
    margin = 0.05 * max(high - low, 1e-9)
    return low - margin, high + margin


def _set_ticks(axes: Axes, first: bool, last: bool = True) -> None:
    set_number_ticks(axes.xaxis, 2, shared_unit=False)
    set_number_ticks(axes.yaxis, 4, shared_unit=False)
    panels.align_end_ticks_inside(axes)
    axes.tick_params(labelleft=first, labelbottom=last, labelsize=SMALL_TEXT_SIZE)
