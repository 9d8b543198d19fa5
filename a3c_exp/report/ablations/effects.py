"""What the groups of a comparison come to, drawn: effects beside what counts as clear, and ends over what was varied."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.ablations.comparisons import ControlledComparison, arm_label
from a3c_exp.report.ablations.curves import learning_curves
from a3c_exp.report.ablations.verdicts import Decision, EffectEstimate, Verdict
from a3c_exp.report.ablations.wall_time_model import SOURCE_CORES, MeasuredCosts, predict_seconds
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.multi_panel import (
    SMALL_TEXT_SIZE,
    CaptionedFigure,
    Margins,
    add_legend_row,
    align_end_ticks_inside,
    panel_grid,
    set_shared_x_label,
)
from a3c_exp.report.figures.style import CHARACTER_WIDTH, compact_number
from a3c_exp.report.quantities.curve_metrics import THRESHOLD, Measure, curve_metrics
from a3c_exp.stats.estimates import (
    MIN_SEEDS,
    NO_INTERVAL,
    Interval,
    bootstrap_interval,
    expanded_confidence,
    interquartile_mean,
    performance_profile,
    profile_band,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECISION_COLORS: dict[Decision, svg.ThemeColor] = {
    "supported": svg.SERIES_COLORS[2],
    "not supported": svg.SERIES_COLORS[5],
    "reversed": svg.SERIES_COLORS[1],
    "undecided": svg.OTHER_COLOR,
}
"""The colours of verdicts, on figures and pages."""

_MAX_DRAWN_EFFECT = 5.0  # effects are drawn up to five times what is clear
_ROW_HEIGHT = 13.0  # points
_AXIS_LABELS = {"worker_range": "Workers", "staleness": "Updates between pull and push", "n_step": "Steps of a window"}
_HEADINGS = {
    "worker_range": "One worker to thirty-two",
    "staleness": "Twelve workers, gradients as stale as told",
    "n_step": "How much the window matters",
}


def effect_figure(verdicts: Sequence[Verdict]) -> CaptionedFigure | None:
    """One conclusion: each part's effect under every protocol, in units of what would be clear; ``None`` without any."""
    conclusion = verdicts[0].claim
    rows = [
        (verdict, change)
        for verdict in verdicts
        for change in dict.fromkeys(finding.change for finding in verdict.effects)
        if any(math.isfinite(item.effect) for item in verdict.effects if item.change == change)
    ]
    if not rows:
        return None
    labels = _row_labels(rows, several=len(conclusion.changes) > 1)
    left = min(150.0, 8.0 + 0.86 * CHARACTER_WIDTH * max(map(len, labels)))
    heads = [part.text for part in conclusion.parts]
    room = Margins(left=left, top=50.0, column_gap=13.0)
    figure, axes = panel_grid(
        f"{conclusion.number}. {conclusion.title}", heads, height=_ROW_HEIGHT * len(rows) + 6.0, margins=room
    )
    for column, part in enumerate(conclusion.parts):
        one = axes[0][column]
        one.axvspan(-1.0, 1.0, color=svg.GRID_COLOR.light, alpha=0.45, linewidth=0)
        one.axvline(0.0, color=svg.TEXT_COLOR.light, linewidth=0.7)
        for height, (verdict, change) in enumerate(rows):
            for finding in verdict.effects:
                if finding.part == part and finding.change == change:
                    _draw_effect(one, -float(height), finding, verdict.measure == "evaluation")
        one.set_xlim(-_MAX_DRAWN_EFFECT, _MAX_DRAWN_EFFECT)
        one.set_ylim(-len(rows) + 0.4, 0.6)
        one.set_yticks(
            [-float(height) for height in range(len(rows))],
            labels if column == 0 else [""] * len(rows),
            fontsize=SMALL_TEXT_SIZE,
        )
        one.set_xticks([-4, -1, 1, 4], ["\N{MINUS SIGN}4", "\N{MINUS SIGN}1", "1", "4"], fontsize=SMALL_TEXT_SIZE)
        one.grid(False)
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.0}
    add_legend_row(figure, [(name, {**style, "color": ink.light}) for name, ink in DECISION_COLORS.items()])
    set_shared_x_label(figure, "effect \N{RIGHTWARDS ARROW} as the report says; 1 is clear")
    caption = (
        "Thick: 95 % interval of the effect alone; thin: the one behind the verdict, which holds together with all others. "
        "Grey band: too small to be clear. Round: training curve; square: standard evaluation."
    )
    return CaptionedFigure(
        f"effects_{conclusion.number}", f"Conclusion {conclusion.number}: effects by protocol", caption, figure
    )


def range_figure(comparisons: Sequence[ControlledComparison], ablation: str, env_name: str = "") -> CaptionedFigure | None:
    """Where runs end and how high they are on the way, over the whole range of what was varied; ``None`` without numbers.

    Args:
        comparisons: of one comparison and one task; each gets a colour.
        ablation: its name.
        env_name: to be told in the title.
    """
    arms = list(dict.fromkeys(arm for protocol in comparisons for arm in protocol.arms))
    told = {(index, arm): evaluation_metrics(protocol, arm) for index, protocol in enumerate(comparisons) for arm in arms}
    if not arms or not any(values.size for pair in told.values() for values in pair):
        return None
    word = _AXIS_LABELS.get(ablation, ablation)
    heads = ["at the end", "on the way"]
    title = _HEADINGS.get(ablation, ablation.replace("_", " ")) + (f" on {env_name}" if env_name else "")
    several = len(comparisons) > 1
    figure, axes = panel_grid(title, heads, height=110.0, margins=Margins(top=52.0 if several else 36.0))
    for place, one in enumerate(axes[0]):
        for index, ink in zip(range(len(comparisons)), svg.SERIES_COLORS, strict=False):
            shift = (index - (len(comparisons) - 1) / 2) * 0.22
            _draw_range(one, [told[index, arm][place] for arm in arms], shift, ink.light)
        one.set_xticks(range(len(arms)), arms, fontsize=SMALL_TEXT_SIZE)
        one.set_xlim(-0.6, len(arms) - 0.4)
        one.tick_params(axis="y", labelsize=8.0, labelleft=one is axes[0][0])
    low = min(one.get_ylim()[0] for one in axes[0])
    high = max(one.get_ylim()[1] for one in axes[0])
    for one in axes[0]:
        one.set_ylim(low, high)
    names = [protocol.title.rpartition(", ")[2] for protocol in comparisons]
    if several:
        look: dict[str, Any] = {"marker": "o", "markersize": 3.5}
        add_legend_row(
            figure, [(name, {**look, "color": ink.light}) for name, ink in zip(names, svg.SERIES_COLORS, strict=False)]
        )
    set_shared_x_label(figure, word)
    caption = (
        "Return of the standard evaluation: mean of the last tenth of a run, and of the whole. Interquartile mean over seeds "
        "with its 95 % bootstrap interval; small dots: single seeds."
    )
    name = f"range_{ablation}_{env_name.lower()}" if env_name else f"range_{ablation}"
    return CaptionedFigure(name, title, caption, figure)


def profile_figure(comparisons: Sequence[ControlledComparison]) -> CaptionedFigure | None:
    """Share of seeds that end above each return, for two protocols side by side; ``None`` with too few seeds."""
    shown = [one for one in comparisons if all(evaluation_metrics(one, arm)[0].size >= MIN_SEEDS for arm in one.arms)][:2]
    if not shown:
        return None
    told = [{arm: evaluation_metrics(protocol, arm)[0] for arm in protocol.arms} for protocol in shown]
    whole = np.concatenate([values for one in told for values in one.values()])
    margin = 0.05 * max(float(np.ptp(whole)), 1e-9)
    levels = np.linspace(whole.min() - margin, whole.max() + margin, 121)
    figure, axes = panel_grid(
        "Seeds that end above each return", [one.title for one in shown], height=100.0, margins=Margins(top=52.0)
    )
    for one, groups in zip(axes[0], told, strict=True):
        for values, ink in zip(groups.values(), svg.SERIES_COLORS, strict=False):
            low, high = profile_band([values], levels)
            one.fill_between(levels, low, high, color=ink.light, alpha=0.15, linewidth=0)
            one.plot(levels, performance_profile([values], levels), color=ink.light, linewidth=1.6)
        one.set_ylim(0.0, 1.03)
        _set_sparse_ticks(one, first=one is axes[0][0])
    add_legend_row(
        figure, [(arm_label("", arm), {"color": ink.light}) for arm, ink in zip(shown[0].arms, svg.SERIES_COLORS, strict=False)]
    )
    set_shared_x_label(figure, "Evaluation return, mean of the last tenth of a run")
    title = f"Performance profiles, {shown[0].ablation.replace('_', ' ')}"
    caption = "Higher and further right is better; band: pointwise 95 % bootstrap interval over seeds."
    return CaptionedFigure(f"profile_{shown[0].ablation}", title, caption, figure)


def wall_time_figure(costs: MeasuredCosts, episodes: int = 1000, steps: int = 4000) -> CaptionedFigure:
    """Predicted minutes of the report's training, over the cores of a machine."""
    cores = np.arange(1, 17)
    heads = ["one process a worker", "one process a core"]
    figure, axes = panel_grid("Predicted minutes, 1000 episodes of 4000 steps", heads, height=100.0, margins=Margins(top=52.0))
    windows = episodes * steps / costs.n_step
    highest = 0.0
    for one, stacked in zip(axes[0], (False, True), strict=True):
        for workers, ink, width in zip(
            (12, 6, 4), svg.SERIES_COLORS, (3.4, 2.2, 1.2), strict=False
        ):  # where they coincide, all are seen
            minutes = (
                np.array([predict_seconds(costs, workers, int(count), windows, stacked) for count in cores]) / 60.0
            )  # [cores, R]
            low, middle, high = np.quantile(minutes, (0.025, 0.5, 0.975), axis=1)
            one.fill_between(cores, low, high, color=ink.light, alpha=0.15, linewidth=0, step="mid")
            one.step(cores, middle, where="mid", color=ink.light, linewidth=width)
            highest = max(highest, float(high.max()))
        one.axvline(SOURCE_CORES, color=svg.TEXT_COLOR.light, linewidth=0.7, linestyle=(0, (1, 3)))
        one.set_xlim(1.0, 16.0)
        one.set_xticks([1, 4, 8, 12, 16], ["1", "4", "8", "12", "16"], fontsize=SMALL_TEXT_SIZE)
        align_end_ticks_inside(one)
        one.tick_params(axis="y", labelsize=8.0, labelleft=one is axes[0][0])
    for one in axes[0]:
        one.set_ylim(0.0, 1.08 * highest)
    add_legend_row(
        figure,
        [(f"{workers} workers", {"color": ink.light}) for workers, ink in zip((12, 6, 4), svg.SERIES_COLORS, strict=False)],
    )
    set_shared_x_label(figure, "Cores")
    caption = (
        f"From what rollouts, gradients and updates cost on one core of {costs.host or 'this machine'}; dotted: the "
        f"{SOURCE_CORES} of the report's machine. Fewer workers take longer only where they leave cores idle."
    )
    return CaptionedFigure("clock_predicted", "Predicted wall time over cores", caption, figure)


def evaluation_metrics(comparison: ControlledComparison, arm: str) -> tuple[FloatArray, FloatArray]:
    """Of each run of a group: its evaluation at the end, and on the way; both ``[runs]``."""
    measure: Measure = "evaluation"
    curves = learning_curves(comparison.arms.get(arm, ()), measure, "env_step")
    told = [curve_metrics(one, one.x[-1], THRESHOLD[measure]) for one in curves]
    return np.array([one.final for one in told]), np.array([one.area for one in told])


def _row_labels(rows: Sequence[tuple[Verdict, str]], several: bool) -> list[str]:
    """The protocol where it begins, and the change where there are several."""
    labels, last = [], ""
    for verdict, change in rows:
        title = verdict.comparison.title
        short = change.removesuffix(" workers").replace(" to ", "\N{RIGHTWARDS ARROW}") if several else ""
        labels.append(f"{'' if title == last else title}  {short}".strip())
        last = title
    return labels


def _draw_effect(axes: "Axes", height: float, effect: EffectEstimate, square: bool) -> None:
    if not math.isfinite(effect.effect):
        return
    ink = DECISION_COLORS[effect.decision].light
    for (low, high), width in ((effect.simultaneous_interval, 0.8), (effect.interval, 2.4)):
        edges = np.clip(np.array([low, high]) / effect.min_effect, -_MAX_DRAWN_EFFECT, _MAX_DRAWN_EFFECT)
        axes.plot(edges, [height, height], color=ink, linewidth=width, solid_capstyle="butt")
    place = effect.effect / effect.min_effect
    beyond = abs(place) > 0.97 * _MAX_DRAWN_EFFECT
    marker = (">" if place > 0 else "<") if beyond else ("s" if square else "o")
    at = float(np.clip(place, -0.95 * _MAX_DRAWN_EFFECT, 0.95 * _MAX_DRAWN_EFFECT))
    axes.plot([at], [height], marker=marker, markersize=4.0, color=ink, linestyle="")


def _draw_range(axes: "Axes", groups: Sequence[FloatArray], shift: float, color: str) -> None:
    centres = [(index + shift, float(interquartile_mean(values))) for index, values in enumerate(groups) if values.size]
    for index, values in enumerate(groups):
        axes.plot(np.full(values.size, index + shift + 0.13), values, ".", color=color, markersize=3.0, alpha=0.5, linestyle="")
        if values.size >= MIN_SEEDS:
            low, high = seed_interval(values)
            axes.plot([index + shift] * 2, [low, high], color=color, linewidth=2.2, solid_capstyle="butt")
    axes.plot(*zip(*centres, strict=True), color=color, linewidth=0.9, marker="o", markersize=3.5)


def seed_interval(values: FloatArray) -> Interval:
    """95 % bootstrap interval of an interquartile mean over seeds, widened for few; NaN with fewer than three."""
    if values.size < MIN_SEEDS:
        return NO_INTERVAL
    return bootstrap_interval(values, interquartile_mean, expanded_confidence(0.95, values.size), resamples=4000)


def _set_sparse_ticks(axes: "Axes", first: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_number(value)))
    axes.tick_params(labelsize=8.0, labelleft=first)
