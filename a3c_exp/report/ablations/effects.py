"""What the groups of a comparison come to, drawn: effects beside what counts as clear, and ends over what was varied."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.ablations.comparisons import Protocol, arm_label
from a3c_exp.report.ablations.curves import curves_of
from a3c_exp.report.ablations.verdicts import Answer, Finding, Verdict
from a3c_exp.report.ablations.wall_time_model import REPORTS_CORES, Costs, seconds
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.multi_panel import SMALL, Picture, Room, below, ends_inside, grid, legend
from a3c_exp.report.figures.style import CHARACTER, compact
from a3c_exp.report.quantities.curve_metrics import THRESHOLD, Measure, numbers
from a3c_exp.stats.estimates import (
    MIN_SEEDS,
    NO_INTERVAL,
    Interval,
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    profile_band,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INKS: dict[Answer, svg.Ink] = {
    "supported": svg.SERIES[2],
    "not supported": svg.SERIES[5],
    "reversed": svg.SERIES[1],
    "undecided": svg.OTHER,
}
"""The colours of verdicts, on figures and pages."""

_REACH = 5.0  # effects are drawn up to five times what is clear
_ROW = 13.0  # points
_WORDS = {"worker_range": "Workers", "staleness": "Updates between pull and push", "n_step": "Steps of a window"}
_HEADINGS = {
    "worker_range": "One worker to thirty-two",
    "staleness": "Twelve workers, gradients as stale as told",
    "n_step": "How much the window matters",
}


def effect_picture(verdicts: Sequence[Verdict]) -> Picture | None:
    """One conclusion: each part's effect under every protocol, in units of what would be clear; ``None`` without any."""
    conclusion = verdicts[0].conclusion
    rows = [
        (verdict, change)
        for verdict in verdicts
        for change in dict.fromkeys(finding.change for finding in verdict.findings)
        if any(math.isfinite(item.effect) for item in verdict.findings if item.change == change)
    ]
    if not rows:
        return None
    labels = _row_labels(rows, several=len(conclusion.changes) > 1)
    left = min(150.0, 8.0 + 0.86 * CHARACTER * max(map(len, labels)))
    heads = [part.says for part in conclusion.parts]
    room = Room(left=left, top=50.0, between=13.0)
    figure, axes = grid(f"{conclusion.number}. {conclusion.title}", heads, height=_ROW * len(rows) + 6.0, room=room)
    for column, part in enumerate(conclusion.parts):
        one = axes[0][column]
        one.axvspan(-1.0, 1.0, color=svg.GRID.light, alpha=0.45, linewidth=0)
        one.axvline(0.0, color=svg.TEXT.light, linewidth=0.7)
        for height, (verdict, change) in enumerate(rows):
            for finding in verdict.findings:
                if finding.part == part and finding.change == change:
                    _effect(one, -float(height), finding, verdict.measure == "evaluation")
        one.set_xlim(-_REACH, _REACH)
        one.set_ylim(-len(rows) + 0.4, 0.6)
        one.set_yticks(
            [-float(height) for height in range(len(rows))], labels if column == 0 else [""] * len(rows), fontsize=SMALL
        )
        one.set_xticks([-4, -1, 1, 4], ["\N{MINUS SIGN}4", "\N{MINUS SIGN}1", "1", "4"], fontsize=SMALL)
        one.grid(False)
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.0}
    legend(figure, [(name, {**style, "color": ink.light}) for name, ink in INKS.items()])
    below(figure, "effect \N{RIGHTWARDS ARROW} as the report says; 1 is clear")
    caption = (
        "Thick: 95 % interval of the effect alone; thin: the one behind the verdict, which holds together with all others. "
        "Grey band: too small to be clear. Round: training curve; square: standard evaluation."
    )
    return Picture(f"effects_{conclusion.number}", f"Conclusion {conclusion.number}: effects by protocol", caption, figure)


def range_picture(protocols: Sequence[Protocol], ablation: str, task: str = "") -> Picture | None:
    """Where runs end and how high they are on the way, over the whole range of what was varied; ``None`` without numbers.

    Args:
        protocols: of one comparison and one task; each gets a colour.
        ablation: its name.
        task: to be told in the title.
    """
    arms = list(dict.fromkeys(arm for protocol in protocols for arm in protocol.arms))
    told = {(index, arm): ends(protocol, arm) for index, protocol in enumerate(protocols) for arm in arms}
    if not arms or not any(values.size for pair in told.values() for values in pair):
        return None
    word = _WORDS.get(ablation, ablation)
    heads = ["at the end", "on the way"]
    title = _HEADINGS.get(ablation, ablation.replace("_", " ")) + (f" on {task}" if task else "")
    several = len(protocols) > 1
    figure, axes = grid(title, heads, height=110.0, room=Room(top=52.0 if several else 36.0))
    for place, one in enumerate(axes[0]):
        for index, ink in zip(range(len(protocols)), svg.SERIES, strict=False):
            shift = (index - (len(protocols) - 1) / 2) * 0.22
            _range(one, [told[index, arm][place] for arm in arms], shift, ink.light)
        one.set_xticks(range(len(arms)), arms, fontsize=SMALL)
        one.set_xlim(-0.6, len(arms) - 0.4)
        one.tick_params(axis="y", labelsize=8.0, labelleft=one is axes[0][0])
    low = min(one.get_ylim()[0] for one in axes[0])
    high = max(one.get_ylim()[1] for one in axes[0])
    for one in axes[0]:
        one.set_ylim(low, high)
    names = [protocol.title.rpartition(", ")[2] for protocol in protocols]
    if several:
        look: dict[str, Any] = {"marker": "o", "markersize": 3.5}
        legend(figure, [(name, {**look, "color": ink.light}) for name, ink in zip(names, svg.SERIES, strict=False)])
    below(figure, word)
    caption = (
        "Return of the standard evaluation: mean of the last tenth of a run, and of the whole. Interquartile mean over seeds "
        "with its 95 % bootstrap interval; small dots: single seeds."
    )
    name = f"range_{ablation}_{task.lower()}" if task else f"range_{ablation}"
    return Picture(name, title, caption, figure)


def profile_picture(protocols: Sequence[Protocol]) -> Picture | None:
    """Share of seeds that end above each return, for two protocols side by side; ``None`` with too few seeds."""
    shown = [one for one in protocols if all(ends(one, arm)[0].size >= MIN_SEEDS for arm in one.arms)][:2]
    if not shown:
        return None
    told = [{arm: ends(protocol, arm)[0] for arm in protocol.arms} for protocol in shown]
    whole = np.concatenate([values for one in told for values in one.values()])
    margin = 0.05 * max(float(np.ptp(whole)), 1e-9)
    levels = np.linspace(whole.min() - margin, whole.max() + margin, 121)
    figure, axes = grid("Seeds that end above each return", [one.title for one in shown], height=100.0, room=Room(top=52.0))
    for one, groups in zip(axes[0], told, strict=True):
        for values, ink in zip(groups.values(), svg.SERIES, strict=False):
            low, high = profile_band([values], levels)
            one.fill_between(levels, low, high, color=ink.light, alpha=0.15, linewidth=0)
            one.plot(levels, performance_profile([values], levels), color=ink.light, linewidth=1.6)
        one.set_ylim(0.0, 1.03)
        _sparse(one, first=one is axes[0][0])
    legend(figure, [(arm_label("", arm), {"color": ink.light}) for arm, ink in zip(shown[0].arms, svg.SERIES, strict=False)])
    below(figure, "Evaluation return, mean of the last tenth of a run")
    title = f"Performance profiles, {shown[0].ablation.replace('_', ' ')}"
    caption = "Higher and further right is better; band: pointwise 95 % bootstrap interval over seeds."
    return Picture(f"profile_{shown[0].ablation}", title, caption, figure)


def clock_picture(costs: Costs, episodes: int = 1000, steps: int = 4000) -> Picture:
    """Predicted minutes of the report's training, over the cores of a machine."""
    cores = np.arange(1, 17)
    heads = ["one process a worker", "one process a core"]
    figure, axes = grid("Predicted minutes, 1000 episodes of 4000 steps", heads, height=100.0, room=Room(top=52.0))
    windows = episodes * steps / costs.n_step
    highest = 0.0
    for one, stacked in zip(axes[0], (False, True), strict=True):
        for workers, ink, width in zip(
            (12, 6, 4), svg.SERIES, (3.4, 2.2, 1.2), strict=False
        ):  # where they coincide, all are seen
            minutes = np.array([seconds(costs, workers, int(count), windows, stacked) for count in cores]) / 60.0  # [cores, R]
            low, middle, high = np.quantile(minutes, (0.025, 0.5, 0.975), axis=1)
            one.fill_between(cores, low, high, color=ink.light, alpha=0.15, linewidth=0, step="mid")
            one.step(cores, middle, where="mid", color=ink.light, linewidth=width)
            highest = max(highest, float(high.max()))
        one.axvline(REPORTS_CORES, color=svg.TEXT.light, linewidth=0.7, linestyle=(0, (1, 3)))
        one.set_xlim(1.0, 16.0)
        one.set_xticks([1, 4, 8, 12, 16], ["1", "4", "8", "12", "16"], fontsize=SMALL)
        ends_inside(one)
        one.tick_params(axis="y", labelsize=8.0, labelleft=one is axes[0][0])
    for one in axes[0]:
        one.set_ylim(0.0, 1.08 * highest)
    legend(figure, [(f"{workers} workers", {"color": ink.light}) for workers, ink in zip((12, 6, 4), svg.SERIES, strict=False)])
    below(figure, "Cores")
    caption = (
        f"From what rollouts, gradients and updates cost on one core of {costs.host or 'this machine'}; dotted: the "
        f"{REPORTS_CORES} of the report's machine. Fewer workers take longer only where they leave cores idle."
    )
    return Picture("clock_predicted", "Predicted wall time over cores", caption, figure)


def ends(protocol: Protocol, arm: str) -> tuple[FloatArray, FloatArray]:
    """Of each run of a group: its evaluation at the end, and on the way; both ``[runs]``."""
    measure: Measure = "evaluation"
    curves = curves_of(protocol.arms.get(arm, ()), measure, "env_step")
    told = [numbers(one, one.x[-1], THRESHOLD[measure]) for one in curves]
    return np.array([one.final for one in told]), np.array([one.area for one in told])


def _row_labels(rows: Sequence[tuple[Verdict, str]], several: bool) -> list[str]:
    """The protocol where it begins, and the change where there are several."""
    labels, last = [], ""
    for verdict, change in rows:
        title = verdict.protocol.title
        short = change.removesuffix(" workers").replace(" to ", "\N{RIGHTWARDS ARROW}") if several else ""
        labels.append(f"{'' if title == last else title}  {short}".strip())
        last = title
    return labels


def _effect(axes: "Axes", height: float, finding: Finding, square: bool) -> None:
    if not math.isfinite(finding.effect):
        return
    ink = INKS[finding.answer].light
    for (low, high), width in ((finding.together, 0.8), (finding.interval, 2.4)):
        edges = np.clip(np.array([low, high]) / finding.clear, -_REACH, _REACH)
        axes.plot(edges, [height, height], color=ink, linewidth=width, solid_capstyle="butt")
    place = finding.effect / finding.clear
    beyond = abs(place) > 0.97 * _REACH
    marker = (">" if place > 0 else "<") if beyond else ("s" if square else "o")
    at = float(np.clip(place, -0.95 * _REACH, 0.95 * _REACH))
    axes.plot([at], [height], marker=marker, markersize=4.0, color=ink, linestyle="")


def _range(axes: "Axes", groups: Sequence[FloatArray], shift: float, colour: str) -> None:
    centres = [(index + shift, float(interquartile_mean(values))) for index, values in enumerate(groups) if values.size]
    for index, values in enumerate(groups):
        axes.plot(
            np.full(values.size, index + shift + 0.13), values, ".", color=colour, markersize=3.0, alpha=0.5, linestyle=""
        )
        if values.size >= MIN_SEEDS:
            low, high = seed_interval(values)
            axes.plot([index + shift] * 2, [low, high], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(*zip(*centres, strict=True), color=colour, linewidth=0.9, marker="o", markersize=3.5)


def seed_interval(values: FloatArray) -> Interval:
    """95 % bootstrap interval of an interquartile mean over seeds, widened for few; NaN with fewer than three."""
    if values.size < MIN_SEEDS:
        return NO_INTERVAL
    return bootstrap_interval(values, interquartile_mean, widened(0.95, values.size), resamples=4000)


def _sparse(axes: "Axes", first: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.tick_params(labelsize=8.0, labelleft=first)
