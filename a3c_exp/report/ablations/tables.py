"""The tables of the section on ablations: verdicts at a glance, what they rest on, where groups end, what was run."""

import math
from collections.abc import Sequence

from a3c_exp.report.ablations.comparisons import DESCRIPTIONS, TITLES, ControlledComparison, arm_label
from a3c_exp.report.ablations.effects import evaluation_metrics, seed_interval
from a3c_exp.report.ablations.verdicts import EffectEstimate, Verdict
from a3c_exp.report.ablations.wall_time_model import WallTimePrediction
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_results import run_result
from a3c_exp.report.tables import NO_VALUE, Cell, Table, format_duration, format_interval, format_number
from a3c_exp.stats.estimates import Interval, interquartile_mean, mean

TIMES_SIGN = "\N{MULTIPLICATION SIGN}"


def verdict_tables(verdicts: Sequence[Verdict]) -> list[Table]:
    """The verdicts at a glance, one table a comparison: a row a conclusion and measure, a column a protocol."""
    tables = []
    for name, title in (("max_episode_steps", "Verdicts: episode limit"), ("worker_count", "Verdicts: workers")):
        mine = [one for one in verdicts if name in one.claim.ablations]
        keys = list(dict.fromkeys(one.comparison.key for one in mine))
        titles = {one.comparison.key: one.comparison.title for one in mine}
        rows = []
        for number, measure in dict.fromkeys((one.claim.number, one.measure) for one in mine):
            cells = {one.comparison.key: one for one in mine if (one.claim.number, one.measure) == (number, measure)}
            conclusion = next(iter(cells.values())).claim
            head = Cell(f"{number}. {conclusion.title}", f"by {_MEASURES[measure]}")
            rows.append((head, *(_verdict_cell(cells.get(key)) for key in keys)))
        tables.append(Table(title, ("conclusion", *(titles[key] for key in keys)), 1 + len(keys), tuple(rows)))
    return tables


def comparison_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """What the protocols are that the other tables name."""
    keys = dict.fromkeys(one.key for one in comparisons)
    rows = [(Cell(TITLES.get(key, key)), Cell(DESCRIPTIONS.get(key, "A control of its own."))) for key in keys]
    return Table("Protocols", ("protocol", "what it is"), 2, tuple(rows))


def effect_table(verdicts: Sequence[Verdict]) -> Table:
    """What every verdict rests on: a row a part and change."""
    columns = ("conclusion", "protocol", "measure", "change", "says it", "effect", "likely", "seeds", "verdict", "alone")
    rows = [
        (
            Cell(str(verdict.claim.number)),
            Cell(verdict.comparison.title),
            Cell(_MEASURES[verdict.measure]),
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
    """Where every group ends, by the standard evaluation: interquartile means over seeds with their intervals."""
    rows = []
    for protocol in comparisons:
        for arm in protocol.arms:
            told = evaluation_metrics(protocol, arm)
            cells = [_mean_cell(values) for values in told]
            if told[0].size:
                names = (
                    _ABLATION_LABELS.get(protocol.ablation, protocol.ablation),
                    protocol.title,
                    arm_label(protocol.ablation, arm),
                )
                rows.append((*map(Cell, names), Cell(str(told[0].size)), *cells))
    columns = ("comparison", "protocol", "group", "seeds", "evaluation at the end", "on the way")
    return Table("Where they end", columns, 3, tuple(rows))


def wall_time_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """How long runs took and how stale their gradients were, where every run had a process to itself."""
    rows = []
    for protocol in comparisons:
        for arm, runs in protocol.arms.items():
            if protocol.ablation in ("max_episode_steps", "worker_count") and runs:
                done = [run_result(run) for run in runs]
                alone = all(run.num_seeds_in_process == 1 for run in runs)
                seconds = mean([one.wall_time for one in done])
                rows.append(
                    (
                        Cell(protocol.title),
                        Cell(arm_label(protocol.ablation, arm)),
                        Cell(str(len(runs))),
                        Cell(f"{mean([one.episodes for one in done]):,.0f}"),
                        Cell(f"{mean([one.env_steps for one in done]):,.0f}"),
                        Cell(format_duration(seconds) if alone else NO_VALUE, "" if alone else "seeds shared a process"),
                        Cell(
                            format_number(mean([one.policy_lag for one in done]), 1.0),
                            _format_max([one.policy_lag_max for one in done]),
                        ),
                    )
                )
    columns = ("protocol", "group", "seeds", "episodes", "env steps", "wall time", "policy lag")
    return Table("What was run", columns, 2, tuple(rows))


def prediction_table(predictions: Sequence[WallTimePrediction]) -> Table:
    """The fourth conclusion on machines with so many cores."""
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


_MEASURES = {"training": "training", "evaluation": "evaluation", "clock": "clock"}


_ABLATION_LABELS = {
    "max_episode_steps": "episode limit",
    "worker_count": "workers",
    "worker_range": "workers, range",
    "staleness": "staleness",
    "n_step": "window",
}


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
