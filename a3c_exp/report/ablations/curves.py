"""Learning curves and policy lags of an ablation: one panel an arm, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.aggregate import Axis, Curve, quartile_band
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.multi_panel import (
    CaptionedFigure,
    Margins,
    add_legend_row,
    align_end_ticks_inside,
    panel_grid,
    set_shared_x_label,
)
from a3c_exp.report.figures.style import AXIS_TITLES, compact_number
from a3c_exp.report.quantities.curve_metrics import MEASURES, Measure, learning_curve
from a3c_exp.report.quantities.policy_lag import lag_shares
from a3c_exp.report.run_reader import RunData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUM_POINTS = 80  # of a line; more only show noise
_MEASURE_TITLES: dict[Measure, str] = {
    "training": "Training: mean step reward",
    "evaluation": "Evaluation: mean return",
}


def learning_curve_figure(comparison: ControlledComparison) -> CaptionedFigure | None:
    """Training above, evaluation below, over episodes or steps; ``None`` if no arm has a curve.

    Above: the moving average of the mean step reward, or the mean itself where budgets are in steps.
    """
    arms = list(comparison.arms)
    curves = {
        (measure, arm): learning_curves(comparison.arms[arm], measure, comparison.axis) for measure in MEASURES for arm in arms
    }
    if not any(curves.values()):
        return None
    subject = f"{comparison.label[:1].upper()}{comparison.label[1:]}, {comparison.title}"
    heads = [comparison.arm_label(arm) for arm in arms]
    figure, axes = panel_grid(subject, heads, 2, height=92.0, margins=Margins(top=46.0))
    for measure, row in zip(MEASURES, axes, strict=True):
        limits = _shared_limits([curve for arm in arms for curve in curves[measure, arm]])
        for arm, panel, color in zip(arms, row, svg.SERIES_COLORS, strict=False):
            _draw_curves(panel, curves[measure, arm], color.light)
            threshold = getattr(comparison.report.learned, measure)
            if np.isfinite(threshold):
                panel.axhline(threshold, color=svg.TEXT_COLOR.light, linewidth=0.6, linestyle=(0, (1, 3)))
            panel.set_ylim(*limits)
            panel.set_xlim(0.0, max((curve.x[-1] for curve in curves[measure, arm]), default=1.0))
            _set_ticks(panel, first=panel is row[0], last=row is axes[-1])
        box = row[0].get_position()
        lines = 0.5 if measure == "evaluation" else 1.6  # of text above the panels
        y = box.y1 + (lines * 10.0 + 1.0) / 72 / figure.get_figheight()
        figure.text(box.x0, y, _MEASURE_TITLES[measure], fontsize=8.0, style="italic")
    set_shared_x_label(figure, AXIS_TITLES[comparison.axis])
    above = "the moving average" if comparison.axis == "episode" else "mean reward of a step in each fortieth of the run"
    return CaptionedFigure(
        f"{comparison.ablation}_{comparison.key}",
        f"{subject}: learning curves",
        f"Above {above}, below the return of the standard evaluation. Line and band: median and middle half of the "
        "seeds; thin: single seeds; dotted: what counts as learned.",
        figure,
    )


def lag_figure(virtual: ControlledComparison, real: ControlledComparison) -> CaptionedFigure | None:
    """How stale gradients were, in virtual time and in real asynchrony; ``None`` without any histogram."""
    names = ("deterministic", "hogwild")
    arms = [arm for arm in real.arms if arm in virtual.arms]
    shares = {
        (name, arm): lag_shares(comparison.arms[arm])
        for name, comparison in zip(names, (virtual, real), strict=True)
        for arm in arms
    }
    histograms = {key: curve for key, curve in shares.items() if curve is not None}
    if not arms or len(histograms) < len(shares):
        return None
    title = f"Policy lag, {real.label}"
    figure, axes = panel_grid(title, [real.arm_label(arm) for arm in arms], height=90.0, margins=Margins(top=52.0))
    highest = max(float(curve.y.max()) for curve in histograms.values())
    for arm, panel in zip(arms, axes[0], strict=True):
        largest_lag = 1.0
        for name, color in zip(names, svg.SERIES_COLORS, strict=False):
            curve = histograms[name, arm]
            panel.step(curve.x, curve.y, where="mid", color=color.light, linewidth=1.4)
            panel.fill_between(curve.x, 0.0, curve.y, step="mid", color=color.light, alpha=0.15, linewidth=0)
            nearly_all = np.flatnonzero(np.cumsum(curve.y) >= 0.995)
            largest_lag = max(largest_lag, float(curve.x[nearly_all[0]]) if nearly_all.size else 1.0)
        panel.set_xlim(-0.5, 1.15 * largest_lag + 1.0)
        panel.set_ylim(0.0, 1.08 * highest)
        _set_ticks(panel, first=panel is axes[0][0])
    add_legend_row(figure, [(name, {"color": color.light}) for name, color in zip(names, svg.SERIES_COLORS, strict=False)])
    set_shared_x_label(figure, "Updates between pull and push")
    caption = "Share of pushes at each policy lag; the rare longest are cut off on the right."
    return CaptionedFigure(f"lag_{real.ablation}", f"{title}: deterministic and hogwild", caption, figure)


def _draw_curves(axes: "Axes", curves: Sequence[Curve], color: str) -> None:
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
    low, high = np.quantile(heights, (0.002, 1.0))
    margin = 0.05 * max(float(high - low), 1e-9)
    return float(low) - margin, float(high) + margin


def _set_ticks(axes: "Axes", first: bool, last: bool = True) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value)))
    align_end_ticks_inside(axes)
    axes.tick_params(labelleft=first, labelbottom=last, labelsize=8.0)


def learning_curves(runs: Sequence[RunData], measure: Measure, axis: Axis) -> list[Curve]:
    """The curves of those runs that have one."""
    return [curve for run in runs if (curve := learning_curve(run, measure, axis)) is not None]
