"""Learning curves in the published report's layout: one panel a group, side by side, but with every seed in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from a3c_exp.report.ablations.comparisons import ControlledComparison, arm_label
from a3c_exp.report.aggregate import Axis, Configuration, Curve, quartile_band
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
from a3c_exp.report.quantities.curve_metrics import THRESHOLD, Measure, learning_curve
from a3c_exp.report.quantities.policy_lag import lag_shares
from a3c_exp.report.run_reader import RunData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUM_POINTS = 80  # of a line; more only show noise
_ABLATION_TITLES: dict[str, str] = {"max_episode_steps": "Episode limit", "worker_count": "Workers"}
_MEASURE_TITLES: dict[Measure, str] = {
    "training": "Training: mean step reward",
    "evaluation": "Evaluation: return in 200 steps",
}


def learning_curve_figure(comparison: ControlledComparison) -> CaptionedFigure | None:
    """What the report drew, and below it what it did not look at; ``None`` if no group has a curve.

    Above: the report's moving average, or the mean step reward where budgets are in steps. Below: the standard evaluation.
    """
    measures: tuple[Measure, Measure] = ("training", "evaluation")
    arms = list(comparison.arms)
    curves = {
        (measure, arm): learning_curves(comparison.arms[arm], measure, comparison.axis) for measure in measures for arm in arms
    }
    if not any(curves.values()):
        return None
    subject = _ABLATION_TITLES.get(comparison.ablation, comparison.ablation)
    figure, axes = panel_grid(
        f"{subject}, {comparison.title}", [arm_label("", arm) for arm in arms], 2, height=92.0, margins=Margins(top=46.0)
    )
    for measure, row in zip(measures, axes, strict=True):
        drawn = [item for arm in arms for item in curves[measure, arm]]
        low, high = _shared_limits(drawn)
        for arm, one, ink in zip(arms, row, svg.SERIES_COLORS, strict=False):
            _draw_curves(one, curves[measure, arm], ink.light)
            one.axhline(THRESHOLD[measure], color=svg.TEXT_COLOR.light, linewidth=0.6, linestyle=(0, (1, 3)))
            one.set_ylim(low, high)
            one.set_xlim(0.0, max((item.x[-1] for item in curves[measure, arm]), default=1.0))
            _set_ticks(one, first=one is row[0], last=row is axes[-1])
        place = row[0].get_position()
        lift = 0.5 if measure == "evaluation" else 1.6  # lines of text above the panels
        figure.text(
            place.x0,
            place.y1 + (lift * 10.0 + 1.0) / 72 / figure.get_figheight(),
            _MEASURE_TITLES[measure],
            fontsize=8.0,
            style="italic",
        )
    set_shared_x_label(figure, AXIS_TITLES[comparison.axis])
    curve = (
        "the report's moving average" if comparison.axis == "episode" else "mean reward of a step in each fortieth of the run"
    )
    return CaptionedFigure(
        f"{comparison.ablation}_{comparison.key}",
        f"{subject}, {comparison.title}: learning curves",
        f"Above {curve}, below the return of the standard 200-step evaluation. Line and band: median and middle half of the "
        "seeds; thin: single seeds; dotted: what counts as learned.",
        figure,
    )


def lag_figure(deterministic: ControlledComparison, hogwild: ControlledComparison) -> CaptionedFigure | None:
    """How stale gradients were, in virtual time and in real asynchrony; ``None`` without any histogram."""
    arms = [arm for arm in hogwild.arms if arm in deterministic.arms]
    shares = {
        (name, arm): lag_shares(Configuration(arm, arm, (), protocol.arms[arm]))
        for name, protocol in (("deterministic", deterministic), ("hogwild", hogwild))
        for arm in arms
    }
    if not arms or not all(found is not None for found in shares.values()):
        return None
    title = f"Policy lag, {_ABLATION_TITLES.get(hogwild.ablation, hogwild.ablation).lower()}"
    figure, axes = panel_grid(title, [arm_label("", arm) for arm in arms], height=90.0, margins=Margins(top=52.0))
    highest = max(float(found.y.max()) for found in shares.values() if found is not None)
    for arm, one in zip(arms, axes[0], strict=True):
        farthest = 1.0
        for name, ink in zip(("deterministic", "hogwild"), svg.SERIES_COLORS, strict=False):
            found = shares[name, arm]
            assert found is not None
            one.step(found.x, found.y, where="mid", color=ink.light, linewidth=1.4)
            one.fill_between(found.x, 0.0, found.y, step="mid", color=ink.light, alpha=0.15, linewidth=0)
            most = np.flatnonzero(np.cumsum(found.y) >= 0.995)
            farthest = max(farthest, float(found.x[most[0]]) if most.size else 1.0)
        one.set_xlim(-0.5, 1.15 * farthest + 1.0)
        one.set_ylim(0.0, 1.08 * highest)
        _set_ticks(one, first=one is axes[0][0])
    add_legend_row(
        figure,
        [(name, {"color": ink.light}) for name, ink in zip(("deterministic", "hogwild"), svg.SERIES_COLORS, strict=False)],
    )
    set_shared_x_label(figure, "Updates between pull and push")
    caption = "Share of pushes at each policy lag; the rare longest are cut off on the right."
    return CaptionedFigure(f"lag_{hogwild.ablation}", f"{title}: deterministic and hogwild", caption, figure)


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
    return [found for run in runs if (found := learning_curve(run, measure, axis)) is not None]
