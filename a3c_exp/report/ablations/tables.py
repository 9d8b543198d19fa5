"""The tables of the section on ablations: verdicts, what they rest on, where arms end, what was run."""

import math
from collections.abc import Sequence

from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.ablations.effects import evaluation_metrics, seed_interval
from a3c_exp.report.ablations.verdicts import EffectEstimate, Verdict
from a3c_exp.report.ablations.wall_time_model import WallTimePrediction
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_results import run_result
from a3c_exp.report.tables import Cell, Table
from a3c_exp.stats.estimates import Interval, interquartile_mean, mean
from a3c_exp.system.number_format import NO_VALUE, format_duration, format_interval, format_number

TIMES_SIGN = "\N{MULTIPLICATION SIGN}"


def verdict_tables(verdicts: Sequence[Verdict]) -> list[Table]:
    """One table for each subject of claims: a row a claim and measure, a column a comparison."""
    tables = []
    for subject in dict.fromkeys(verdict.claim.subject for verdict in verdicts):
        cells: dict[tuple[int, str], dict[str, Verdict]] = {}
        titles = {}
        for verdict in verdicts:
            if verdict.claim.subject == subject:
                titles[verdict.comparison.key] = verdict.comparison.title
                cells.setdefault((verdict.claim.number, verdict.measure), {})[verdict.comparison.key] = verdict
        rows = []
        for (number, measure), by_key in cells.items():
            title = next(iter(by_key.values())).claim.title
            rows.append((Cell(f"{number}. {title}", f"by {measure}"), *(_verdict_cell(by_key.get(key)) for key in titles)))
        tables.append(Table(f"Verdicts: {subject}", ("conclusion", *titles.values()), 1 + len(titles), tuple(rows)))
    return tables


def comparison_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """What the controls are that the other tables name."""
    by_key = {comparison.key: comparison for comparison in reversed(comparisons)}
    keys = dict.fromkeys(comparison.key for comparison in comparisons)
    rows = [(Cell(by_key[key].title), Cell(by_key[key].report.words.description)) for key in keys]
    return Table("Protocols", ("protocol", "what it is"), 2, tuple(rows))


def effect_table(verdicts: Sequence[Verdict]) -> Table:
    """What every verdict rests on: a row a part and change."""
    columns = ("conclusion", "protocol", "measure", "change", "says it", "effect", "likely", "seeds", "verdict", "alone")
    rows = [
        (
            Cell(str(verdict.claim.number)),
            Cell(verdict.comparison.title),
            Cell(verdict.measure),
            Cell(item.change),
            Cell(item.part.text),
            Cell(_format_effect(item), _format_interval(item)),
            Cell(f"{100 * item.probability:.0f} %" if math.isfinite(item.probability) else NO_VALUE),
            Cell(str(item.seeds) if item.seeds else NO_VALUE),
            Cell(item.decision, item.reason, status=item.decision.replace(" ", "-")),
            Cell(item.uncorrected_decision if not item.reason else NO_VALUE),
        )
        for verdict in verdicts
        for item in verdict.effects
    ]
    return Table("What the verdicts rest on", columns, 5, tuple(rows))


def final_return_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """Where every arm ends, by the standard evaluation: interquartile means over seeds with their intervals."""
    rows = []
    for comparison in comparisons:
        for arm in comparison.arms:
            final, area = evaluation_metrics(comparison, arm)
            if final.size:
                texts = comparison.label, comparison.title, comparison.arm_label(arm), str(final.size)
                rows.append((*map(Cell, texts), _mean_cell(final), _mean_cell(area)))
    columns = ("comparison", "protocol", "group", "seeds", "evaluation at the end", "on the way")
    return Table("Where they end", columns, 3, tuple(rows))


def wall_time_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """How long runs took and how stale their gradients were, where every run had a process to itself."""
    rows = []
    for comparison in comparisons:
        for arm, runs in comparison.arms.items():
            if comparison.report.varied is None and runs:
                results = [run_result(run) for run in runs]
                alone = all(run.num_seeds_in_process == 1 for run in runs)
                seconds = mean([result.wall_time for result in results])
                rows.append(
                    (
                        Cell(comparison.title),
                        Cell(comparison.arm_label(arm)),
                        Cell(str(len(runs))),
                        Cell(f"{mean([result.episodes for result in results]):,.0f}"),
                        Cell(f"{mean([result.env_steps for result in results]):,.0f}"),
                        Cell(format_duration(seconds) if alone else NO_VALUE, "" if alone else "seeds shared a process"),
                        Cell(
                            format_number(mean([result.policy_lag for result in results]), 1.0),
                            _format_max([result.policy_lag_max for result in results]),
                        ),
                    )
                )
    columns = ("protocol", "group", "seeds", "episodes", "env steps", "wall time", "policy lag")
    return Table("What was run", columns, 2, tuple(rows))


def prediction_table(predictions: Sequence[WallTimePrediction]) -> Table:
    """The change of wall time on machines with so many cores."""
    rows = [
        (
            Cell("one process a core" if one.stacked else "one process a worker"),
            Cell(f"{one.change[0]} to {one.change[1]} workers"),
            Cell(str(one.cores)),
            Cell(format_duration(one.before)),
            Cell(format_duration(one.after)),
            Cell(f"{TIMES_SIGN}{one.ratio:.2f}"),
            Cell(one.decision, status=one.decision.replace(" ", "-")),
        )
        for one in predictions
    ]
    columns = ("where workers live", "change", "cores", "before", "after", "longer", "takes clearly longer")
    return Table("Wall time predicted", columns, 2, tuple(rows))


def _mean_cell(values: FloatArray) -> Cell:
    low, high = seed_interval(values)
    middle = float(interquartile_mean(values)) if values.size else math.nan
    return Cell(format_number(middle, high - low), format_interval((low, high)))


def _verdict_cell(verdict: Verdict | None) -> Cell:
    if verdict is None:
        return Cell(NO_VALUE)
    note = verdict.reason
    if not note and verdict.uncorrected_decision != verdict.decision:
        note = f"leans: {verdict.uncorrected_decision}"
    return Cell(verdict.decision, f"({note})" if note else "", status=verdict.decision.replace(" ", "-"))


def _format_effect(effect: EffectEstimate) -> str:
    if not math.isfinite(effect.effect):
        return NO_VALUE
    return (
        f"{TIMES_SIGN}{math.exp(effect.effect):.2f}" if effect.part.is_ratio else _format_signed(effect.effect, effect.interval)
    )


def _format_interval(effect: EffectEstimate) -> str:
    low, high = effect.interval
    if not math.isfinite(low + high):
        return ""
    if effect.part.is_ratio:
        return f"[{math.exp(low):.2f}, {math.exp(high):.2f}]"
    return f"[{_format_signed(low, effect.interval)}, {_format_signed(high, effect.interval)}]"


def _format_signed(value: float, interval: Interval) -> str:
    text = format_number(abs(value), interval[1] - interval[0])
    sign = "" if not text.strip("0.") else "+" if value > 0 else "-"  # what rounds to nothing has none
    return f"{sign}{text}"


def _format_max(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"max {max(known):.0f}" if known else ""
