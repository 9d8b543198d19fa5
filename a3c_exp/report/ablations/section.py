"""What a report says of the ablations among its runs: verdicts first, then what they rest on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

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
from a3c_exp.report.ablations.wall_time_model import (
    MeasuredCosts,
    WallTimePrediction,
    find_costs,
    predict_wall_times,
    worker_counts,
)
from a3c_exp.report.figures.multi_panel import CaptionedFigure, with_figure_style
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.tables import Table
from a3c_exp.stats.significance import bonferroni_confidence


@dataclass(frozen=True, eq=False)
class AblationSection:
    """What there is to say about the ablations among some runs.

    Attributes:
        title: its heading.
        lead: what was compared and how, a paragraph of plain sentences.
        verdicts: one for each claim, comparison and measure.
        predictions: the change of wall time on other machines; empty without ``costs.json``.
        tables: verdicts (a row a claim and measure, a column a comparison), what they rest on, what was run, and wall times
            predicted; those that have rows. Cells that hold a verdict have it as their ``status``, with hyphens.
        figures: learning curves first; empty if none were asked for.
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
    comparisons = find_comparisons(runs)
    if not comparisons:
        return None
    verdicts = evaluate_claims(comparisons)
    timed = next((one for one in verdicts if one.measure == "clock" and one.comparison.report.wall_time is not None), None)
    costs = find_costs(run for comparison in comparisons for arm in comparison.arms.values() for run in arm)
    predictions, figures = [], list(_figures(comparisons, verdicts)) if draw_figures else []
    if costs is not None and timed is not None and timed.comparison.report.wall_time is not None:
        changes, training = worker_counts(timed.claim), timed.comparison.report.wall_time
        predictions = predict_wall_times(costs, changes, training)
        if draw_figures:
            figures.append(with_figure_style(lambda: wall_time_figure(costs, changes, training)))
    tables = [
        *verdict_tables(verdicts),
        comparison_table(comparisons),
        effect_table(verdicts),
        final_return_table(comparisons),
        wall_time_table(comparisons),
        prediction_table(predictions),
    ]
    return AblationSection(
        "Claims and verdicts",
        _lead(verdicts),
        tuple(verdicts),
        tuple(predictions),
        tuple(table for table in tables if table.rows),
        tuple(figures),
        tuple(_notes(comparisons, verdicts, costs)),
    )


def _figures(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict]) -> Iterable[CaptionedFigure]:
    figures = with_figure_style(lambda: list(_draw_all(comparisons, verdicts)))
    return (figure for figure in figures if figure is not None)


def _draw_all(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict]) -> Iterator[CaptionedFigure | None]:
    """Curves, profiles and lags of ablations whose arms have names, effects, then the values that others vary."""
    for _, group in groupby((one for one in comparisons if one.report.varied is None), lambda one: one.ablation):
        by_control = {comparison.control: comparison for comparison in group}
        report = next(iter(by_control.values())).report
        yield from map(learning_curve_figure, by_control.values())
        yield profile_figure([by_control[control] for control in report.profiles if control in by_control])
        pair = report.asynchrony
        if pair is not None and {pair.virtual, pair.real} <= by_control.keys():
            yield lag_figure(by_control[pair.virtual], by_control[pair.real])
    for _, claim_verdicts in groupby(verdicts, lambda verdict: verdict.claim.number):
        yield effect_figure(list(claim_verdicts))
    varied = [comparison for comparison in comparisons if comparison.report.varied is not None]
    for ablation, env in dict.fromkeys((one.ablation, one.report.control.env) for one in varied):
        yield range_figure([one for one in varied if (one.ablation, one.report.control.env) == (ablation, env)])


def _lead(verdicts: Sequence[Verdict]) -> str:
    num_intervals = max((verdict.num_intervals for verdict in verdicts), default=0)
    if not num_intervals:
        return f"No verdict yet: each takes at least {MIN_VERDICT_SEEDS} finished seeds in both of the groups that it compares."
    each = 100 * bonferroni_confidence(num_intervals, CONFIDENCE)
    return (
        f"A conclusion is supported where all its parts are. {num_intervals} comparisons were made, so each verdict rests on "
        f"an interval that holds with {each:.2f} % confidence, and all of them together with {100 * CONFIDENCE:.0f} %. "
        f"Where a verdict is undecided for that reason alone, the table says where it leans."
    )


def _notes(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict], costs: MeasuredCosts | None) -> list[str]:
    def prefix(comparison: ControlledComparison) -> str:
        return f"{comparison.ablation.replace('_', ' ')}, {comparison.title}"

    notes = [f"{prefix(comparison)}: {warning}" for comparison in comparisons for warning in comparison.warnings]
    for comparison in comparisons:
        if number := comparison.num_excluded:
            runs = "1 run that did not finish or repeats" if number == 1 else f"{number} runs that did not finish or repeat"
            notes.append(f"{prefix(comparison)}: left out {runs} a seed.")
    notes += _asynchrony_notes(verdicts)
    for comparison in comparisons:
        if comparison.control in comparison.report.notes:
            notes.append(comparison.report.notes[comparison.control])
    if costs is None and any(verdict.measure == "clock" for verdict in verdicts):
        notes.append(
            "No wall times are predicted for other machines: python -m a3c_exp.training.measure_costs --out FOLDER, with the "
            "folder of these runs, measures what that takes."
        )
    return notes


def _asynchrony_notes(verdicts: Sequence[Verdict]) -> list[str]:
    """Whether real and virtual asynchrony come to the same verdicts."""
    decisions: dict[tuple[int, str], dict[str, str]] = {}
    titles = {}
    for verdict in verdicts:
        pair = verdict.comparison.report.asynchrony
        if pair is not None and verdict.comparison.key in (pair.virtual, pair.real) and verdict.measure != "clock":
            kind = "real" if verdict.comparison.key == pair.real else "virtual"
            decisions.setdefault((verdict.claim.number, verdict.measure), {})[kind] = verdict.decision
            titles[kind] = verdict.comparison.title
    both = [by_kind for by_kind in decisions.values() if len(by_kind) == 2]
    if not both:
        return []
    same = sum(by_kind["real"] == by_kind["virtual"] for by_kind in both)
    return [
        f"Real asynchrony ({titles['real']}) comes to the same verdict as virtual time ({titles['virtual']}) in {same} of "
        f"{len(both)} cases."
    ]
