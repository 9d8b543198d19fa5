"""The published report's ablations, judged: verdicts first, then what they rest on. A report takes it from ``build_ablation_section``."""

from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.report.ablations.claims import CLAIMS
from a3c_exp.report.ablations.comparisons import ControlledComparison, find_comparisons
from a3c_exp.report.ablations.curves import lag_figure, learning_curve_figure
from a3c_exp.report.ablations.effects import effect_figure, profile_figure, range_figure, wall_time_figure
from a3c_exp.report.ablations.tables import (
    comparison_table,
    effect_table,
    final_return_table,
    prediction_table,
    verdict_tables,
    wall_time_table,
)
from a3c_exp.report.ablations.verdicts import CONFIDENCE, MIN_VERDICT_SEEDS, Verdict, evaluate_claims
from a3c_exp.report.ablations.wall_time_model import MeasuredCosts, WallTimePrediction, find_costs, predict_wall_times
from a3c_exp.report.figures.multi_panel import CaptionedFigure, with_figure_style
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.tables import Table
from a3c_exp.stats.significance import bonferroni_confidence


@dataclass(frozen=True, eq=False)
class AblationSection:
    """What there is to say about the ablations among some runs.

    Attributes:
        title: its heading.
        lead: what was judged and how, a paragraph of plain sentences.
        verdicts: one for each conclusion, protocol and measure.
        predictions: the fourth conclusion on other machines; empty without ``costs.json``.
        tables: verdicts at a glance (a row a conclusion and measure, a column a protocol), what they rest on, what was run, and
            wall times predicted; those that have rows. Cells that hold a verdict have it as their ``status``, with hyphens.
        figures: the report's curves first; empty if none were asked for.
        notes: reasons for doubt, one sentence each.
    """

    title: str
    lead: str
    verdicts: tuple[Verdict, ...]
    predictions: tuple[WallTimePrediction, ...]
    tables: tuple[Table, ...]
    figures: tuple[CaptionedFigure, ...]
    notes: tuple[str, ...]


def build_ablation_section(runs: Sequence[RunData], draw_figures: bool = True) -> AblationSection | None:
    """Everything about the ablations among ``runs``; ``None`` if no run belongs to one.

    Args:
        runs: as read; those that belong to no ablation are ignored, those that did not finish are counted and left out.
        draw_figures: whether to make the figures, which takes matplotlib and most of the time.

    Raises:
        A3CError: figures are wanted and matplotlib is not installed.
    """
    found = find_comparisons(runs)
    if not found:
        return None
    verdicts = evaluate_claims(found)
    costs = find_costs(run for one in found for members in one.arms.values() for run in members)
    predicted = predict_wall_times(costs) if costs is not None else []
    tables = [
        *verdict_tables(verdicts),
        comparison_table(found),
        effect_table(verdicts),
        final_return_table(found),
        wall_time_table(found),
        prediction_table(predicted),
    ]
    return AblationSection(
        "The report's conclusions, judged",
        _lead(verdicts),
        tuple(verdicts),
        tuple(predicted),
        tuple(table for table in tables if table.rows),
        tuple(ablation_figures(found, verdicts, costs)) if draw_figures else (),
        tuple(_notes(found, verdicts, costs)),
    )


def ablation_figures(
    comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict], costs: MeasuredCosts | None
) -> list[CaptionedFigure]:
    """Curves in the report's layout, effects, ranges, profiles, lags and predicted wall times: those that have numbers."""

    def drawn() -> list[CaptionedFigure | None]:
        made: list[CaptionedFigure | None] = []
        by_key = {(one.ablation, one.key): one for one in comparisons}
        for ablation in ("max_episode_steps", "worker_count"):
            mine = [one for one in comparisons if one.ablation == ablation]
            made += [learning_curve_figure(one) for one in mine]
            made.append(profile_figure([one for one in mine if one.key in ("published", "fair")]))
            if (ablation, "hogwild") in by_key and (ablation, "published") in by_key:
                made.append(lag_figure(by_key[ablation, "published"], by_key[ablation, "hogwild"]))
        for conclusion in CLAIMS:
            mine_too = [one for one in verdicts if one.claim is conclusion]
            made.append(effect_figure(mine_too) if mine_too else None)
        for ablation in ("worker_range", "staleness"):
            mine = [one for one in comparisons if one.ablation == ablation]
            made.append(range_figure(mine, ablation) if mine else None)
        for task in ("Pendulum", "CartPole"):
            mine = [one for one in comparisons if one.ablation == "n_step" and one.key.startswith(task.lower())]
            made.append(range_figure(mine, "n_step", task) if mine else None)
        made.append(wall_time_figure(costs) if costs is not None else None)
        return made

    return [one for one in with_figure_style(drawn) if one is not None]


def _lead(verdicts: Sequence[Verdict]) -> str:
    comparisons = max((one.num_intervals for one in verdicts), default=0)
    if not comparisons:
        return f"No verdict yet: each takes at least {MIN_VERDICT_SEEDS} finished seeds in both of the groups that it compares."
    each = 100 * bonferroni_confidence(comparisons, CONFIDENCE)
    return (
        f"A conclusion is supported where all its parts are. {comparisons} comparisons were made, so each verdict rests on an "
        f"interval that holds with {each:.2f} % confidence, and all of them together with {100 * CONFIDENCE:.0f} %. "
        f"Where a verdict is undecided for that reason alone, the table says where it leans."
    )


def _notes(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict], costs: MeasuredCosts | None) -> list[str]:
    notes = [f"{one.ablation.replace('_', ' ')}, {one.title}: {caution}" for one in comparisons for caution in one.warnings]
    for one in comparisons:
        if one.num_excluded:
            what = (
                "1 run that did not finish or repeats"
                if one.num_excluded == 1
                else f"{one.num_excluded} runs that did not finish or repeat"
            )
            notes.append(f"{one.ablation.replace('_', ' ')}, {one.title}: left out {what} a seed.")
    notes += _hogwild_agreement(verdicts)
    if any(one.key == "own_limit" and one.ablation == "max_episode_steps" for one in comparisons):
        notes.append(
            "Within the environment's own limit the groups of conclusions 1 and 2 are the same training: whatever differs "
            "there is chance, and shows what chance can do in the other columns."
        )
    if costs is None and any(one.measure == "clock" for one in verdicts):
        notes.append(
            "No wall times are predicted for other machines: python -m a3c_exp.training.measure_costs --out FOLDER, with the folder of "
            "these runs, measures what that takes."
        )
    return notes


def _hogwild_agreement(verdicts: Sequence[Verdict]) -> list[str]:
    """Whether real and virtual asynchrony come to the same verdicts."""
    told: dict[tuple[int, str], dict[str, str]] = {}
    for one in verdicts:
        if one.comparison.key in ("published", "hogwild") and one.measure != "clock":
            told.setdefault((one.claim.number, one.measure), {})[one.comparison.key] = one.decision
    both = [answers for answers in told.values() if len(answers) == 2]
    if not both:
        return []
    same = sum(len(set(answers.values())) == 1 for answers in both)
    return [
        f"Real asynchrony (hogwild) comes to the same verdict as virtual time (as published) in {same} of {len(both)} cases."
    ]
