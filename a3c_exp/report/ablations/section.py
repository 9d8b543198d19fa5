"""What a report says of the ablations among its runs: verdicts first, then what they rest on."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from a3c_exp.report.ablations import effects, wall_time_model
from a3c_exp.report.ablations.comparisons import ControlledComparison, find_comparisons
from a3c_exp.report.ablations.curves import lag_figure, learning_curve_figure
from a3c_exp.report.ablations.effect_estimates import EffectEstimate
from a3c_exp.report.ablations.look_tables import cost_table, look_lead, look_table
from a3c_exp.report.ablations.verdict_cells import TIMES_SIGN, decision_cell, effect_cell, format_seeds, verdict_cell
from a3c_exp.report.ablations.verdicts import CONFIDENCE, Verdict, evaluate_claims
from a3c_exp.report.figures.panels import CaptionedFigure
from a3c_exp.report.figures.style import figure_style
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.sections import Cell, Description, Section, Table, interval_cell, lag_cell, make_row, make_table
from a3c_exp.stats.estimates import interquartile_mean, mean, seed_interval
from a3c_exp.stats.significance import MIN_VERDICT_SEEDS, bonferroni_confidence
from a3c_exp.system.number_format import NO_VALUE, format_count, format_duration


@dataclass(frozen=True)
class AblationSection(Section):
    """What there is to say about the ablations among some runs. A cell with a verdict has it as ``status``, with hyphens."""

    verdicts: tuple[Verdict, ...] = ()  #: one for each claim, comparison and measure


def build_ablation_section(runs: Sequence[RunData], draw_figures: bool = True) -> AblationSection | None:
    """Everything about the ablations among ``runs``; ``None`` without any. Runs that did not finish are counted and left out.
    To ``draw_figures`` takes most of the time, and matplotlib: an A3CError if that is not installed."""
    if not (comparisons := find_comparisons(runs)):
        return None
    verdicts = evaluate_claims(comparisons)
    costs = wall_time_model.find_costs(run for comparison in comparisons for arm in comparison.arms.values() for run in arm)
    timed = [(wall_time_model.worker_counts(one.claim), wall_time) for one in verdicts
             if one.measure == "clock" and (wall_time := one.comparison.report.wall_time) is not None]  # fmt: skip
    predictions = wall_time_model.predict_wall_times(costs, *timed[0]) if costs is not None and timed else []
    figures: list[CaptionedFigure | None] = []
    if draw_figures:
        with figure_style():
            figures += _draw_all(comparisons, verdicts)
            if costs is not None and timed:
                figures.append(effects.wall_time_figure(costs, *timed[0]))
    tables = [*_verdict_tables(verdicts), _comparison_table(comparisons), _margin_table(verdicts), _effect_table(verdicts)]
    tables += [
        look_table(verdicts),
        cost_table(comparisons),
        _final_return_table(comparisons),
        _wall_time_table(comparisons),
        _prediction_table(predictions),
    ]
    return AblationSection(
        "Claims and verdicts",
        f"{_lead(verdicts)} {look_lead(comparisons)}".strip(),
        tuple(table for table in tables if table.rows),
        tuple(figure for figure in figures if figure is not None),
        tuple(_notes(comparisons, verdicts, costs is not None)),
        tuple(verdicts),
    )


def _draw_all(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict]) -> Iterator[CaptionedFigure | None]:
    """Curves, profiles and lags of ablations whose arms have names, effects, then the values that others vary."""
    for _, group in groupby((one for one in comparisons if one.report.varied is None), lambda one: one.ablation):
        by_control = {comparison.control: comparison for comparison in group}
        report = next(iter(by_control.values())).report
        yield from map(learning_curve_figure, by_control.values())
        yield effects.profile_figure([by_control[control] for control in report.profiles if control in by_control])
        pair = report.asynchrony
        if pair is not None and {pair.virtual, pair.real} <= by_control.keys():
            yield lag_figure(by_control[pair.virtual], by_control[pair.real])
    for _, claim_verdicts in groupby(verdicts, lambda verdict: verdict.claim.number):
        yield effects.effect_figure(list(claim_verdicts))
    varied = [comparison for comparison in comparisons if comparison.report.varied is not None]
    for ablation, env in dict.fromkeys((one.ablation, one.report.control.env) for one in varied):
        yield effects.range_figure([one for one in varied if (one.ablation, one.report.control.env) == (ablation, env)])


def _lead(verdicts: Sequence[Verdict]) -> str:
    fixed = [verdict.num_intervals for verdict in verdicts if verdict.comparison.report.looks is None]
    num_intervals = max(fixed, default=0)
    if verdicts and not fixed:
        return "A conclusion is supported where all its parts are."
    if not num_intervals:
        return f"No verdict yet: each takes at least {MIN_VERDICT_SEEDS} finished seeds in both of the groups that it compares."
    each = 100 * bonferroni_confidence(num_intervals, CONFIDENCE)
    return (
        f"A conclusion is supported where all its parts are. {num_intervals} comparisons were made, so each verdict rests on "
        f"an interval that holds with {each:.2f} % confidence, and all of them together with {100 * CONFIDENCE:.0f} %. "
        f"Where a verdict is undecided for that reason alone, the table says where it leans."
    )


def _notes(comparisons: Sequence[ControlledComparison], verdicts: Sequence[Verdict], has_costs: bool) -> list[str]:
    prefixes = {one: f"{one.ablation.replace('_', ' ')}, {one.title}" for one in comparisons}
    notes = [f"{prefix}: {warning}" for one, prefix in prefixes.items() for warning in one.warnings]
    for one, prefix in prefixes.items():
        if number := one.num_excluded:
            runs = "1 run that did not finish or repeats" if number == 1 else f"{number} runs that did not finish or repeat"
            notes.append(f"{prefix}: left out {runs} a seed.")
    notes += _asynchrony_notes(verdicts)
    notes += [one.report.notes[one.control] for one in comparisons if one.control in one.report.notes]
    if not has_costs and any(verdict.measure == "clock" for verdict in verdicts):
        notes.append(
            "No wall times are predicted for other machines: python -m a3c_exp.training.measure_costs --out FOLDER, with the "
            "folder of these runs, measures what that takes."
        )
    return notes


def _asynchrony_notes(verdicts: Sequence[Verdict]) -> list[str]:
    decisions: dict[tuple[int, str], dict[str, str]] = defaultdict(dict)
    titles = {}
    for verdict in verdicts:
        pair, key = verdict.comparison.report.asynchrony, verdict.comparison.key
        if pair is not None and key in (pair.virtual, pair.real) and verdict.measure != "clock":
            kind = "real" if key == pair.real else "virtual"
            decisions[verdict.claim.number, verdict.measure][kind] = verdict.decision
            titles[kind] = verdict.comparison.title
    both = [by_kind for by_kind in decisions.values() if len(by_kind) == 2]
    if not both:
        return []
    same, real, virtual = sum(by_kind["real"] == by_kind["virtual"] for by_kind in both), titles["real"], titles["virtual"]
    return [f"Real asynchrony ({real}) comes to the same verdict as virtual time ({virtual}) in {same} of {len(both)} cases."]


def _verdict_tables(verdicts: Sequence[Verdict]) -> list[Table]:
    """One table for each subject of claims: a row a claim and measure, a column a comparison."""
    tables = []
    for subject in dict.fromkeys(verdict.claim.subject for verdict in verdicts):
        by_row: dict[tuple[str, str], dict[str, Verdict]] = defaultdict(dict)
        titles = {}
        for verdict in verdicts:
            if verdict.claim.subject == subject:
                titles[verdict.comparison.key] = verdict.comparison.title
                by_row[f"{verdict.claim.number}. {verdict.claim.title}", verdict.measure][verdict.comparison.key] = verdict
        rows = [make_row(Cell(title, f"by {measure}"), *(verdict_cell(by_key.get(key)) for key in titles))
                for (title, measure), by_key in by_row.items()]  # fmt: skip
        tables.append(Table(f"Verdicts: {subject}", ("conclusion", *titles.values()), 1 + len(titles), tuple(rows)))
    return tables


def _comparison_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """What the controls are that the other tables name."""
    by_key: dict[str, ControlledComparison] = {}
    for one in comparisons:
        by_key.setdefault(one.key, one)
    rows = tuple(make_row(one.title, one.report.words.description) for one in by_key.values())
    return Table("Protocols", ("protocol", "what it is"), 2, rows)


def _margin_table(verdicts: Sequence[Verdict]) -> Table:
    """The smallest difference that matters to each claim that says why, in its own units."""
    by_number = {verdict.claim.number: verdict for verdict in verdicts}
    rows = []
    for verdict in by_number.values():
        claim, margin = verdict.claim, verdict.comparison.report.margin_of(verdict.claim)
        if margin.reason:
            sizes = [f"{size:g}" if math.isfinite(size) and not all(part.is_ratio for part in claim.parts) else NO_VALUE
                     for size in (margin.training, margin.evaluation)]  # fmt: skip
            ratio = f"{TIMES_SIGN}{margin.ratio:g}" if any(part.is_ratio for part in claim.parts) else NO_VALUE
            rows.append(make_row(f"{claim.number}. {claim.title}", margin.reason, *sizes, ratio))
    columns = ("conclusion", "what is smaller does not matter, since", "training", "evaluation", "times")
    return Table("Differences that matter", columns, 2, tuple(rows))


def _effect_table(verdicts: Sequence[Verdict]) -> Table:
    """What every verdict rests on: a row a part and change."""
    columns: list[tuple[str, Description[tuple[Verdict, EffectEstimate]]]] = [
        ("conclusion", lambda row: str(row[0].claim.number)),
        ("protocol", lambda row: row[0].comparison.title),
        ("measure", lambda row: row[0].measure),
        ("change", lambda row: row[1].change),
        ("says it", lambda row: row[1].part.text),
        ("effect", lambda row: effect_cell(row[1])),
        ("likely", lambda row: f"{100 * row[1].probability:.0f} %" if math.isfinite(row[1].probability) else NO_VALUE),
        ("seeds", lambda row: str(row[1].seeds or NO_VALUE)),
        ("would take", lambda row: format_seeds(row[1].seeds_needed) or NO_VALUE),
        ("verdict", lambda row: decision_cell(row[1].decision, row[1].reason)),
        ("alone", lambda row: NO_VALUE if row[1].reason else row[1].uncorrected_decision),
    ]
    rows = [(verdict, effect) for verdict in verdicts for effect in verdict.effects]
    return make_table("What the verdicts rest on", 5, rows, columns)


def _final_return_table(comparisons: Sequence[ControlledComparison]) -> Table:
    rows = []
    for one in comparisons:
        for arm in one.arms:
            ends = effects.evaluation_metrics(one, arm)
            if size := ends[0].size:
                cells = [interval_cell(float(interquartile_mean(values)), seed_interval(values)) for values in ends]
                rows.append(make_row(one.label, one.title, one.arm_label(arm), str(size), *cells))
    columns = ("comparison", "protocol", "group", "seeds", "evaluation at the end", "on the way")
    return Table("Where they end", columns, 3, tuple(rows))


def _wall_time_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """How long runs took and how stale their gradients were, where every run had a process to itself."""
    rows = []
    for one in comparisons:
        for arm, runs in one.arms.items():
            if one.report.varied is None and runs:
                keys = ("episodes", "env_steps", "wall_time", "policy_lag")
                *counts, seconds, lag = (mean([run.result(key) for run in runs]) for key in keys)
                alone = all(run.num_seeds_in_process == 1 for run in runs)
                largest = max((most for run in runs if math.isfinite(most := run.result("policy_lag_max"))), default=math.nan)
                texts = (one.title, one.arm_label(arm), str(len(runs)), *map(format_count, counts))
                wall_time = format_duration(seconds) if alone else Cell(NO_VALUE, "seeds shared a process")
                rows.append(make_row(*texts, wall_time, lag_cell(lag, largest)))
    columns = ("protocol", "group", "seeds", "episodes", "env steps", "wall time", "policy lag")
    return Table("What was run", columns, 2, tuple(rows))


def _prediction_table(predictions: Sequence[wall_time_model.WallTimePrediction]) -> Table:
    columns = [
        ("where workers live", lambda one: "one process a core" if one.stacked else "one process a worker"),
        ("change", lambda one: "{} to {} workers".format(*one.change)),
        ("cores", lambda one: str(one.cores)),
        ("before", lambda one: format_duration(one.before)),
        ("after", lambda one: format_duration(one.after)),
        ("longer", lambda one: f"{TIMES_SIGN}{one.ratio:.2f}"),
        ("takes clearly longer", lambda one: decision_cell(one.decision)),
    ]
    return make_table("Wall time predicted", 2, predictions, columns)
