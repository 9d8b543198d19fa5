"""The tables of the section on ablations: verdicts at a glance, what they rest on, where groups end, what was run."""

import math
from collections.abc import Sequence

from a3c_exp.report.ablations.comparisons import TITLES, WORDS, Protocol, arm_label
from a3c_exp.report.ablations.effects import ends, seed_interval
from a3c_exp.report.ablations.verdicts import Finding, Verdict
from a3c_exp.report.ablations.wall_time_model import Prediction
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_results import result
from a3c_exp.report.tables import MINUS, NONE, Cell, Table, bracketed, duration, rounded
from a3c_exp.stats.estimates import Interval, interquartile_mean, mean

TIMES = "\N{MULTIPLICATION SIGN}"


def verdict_tables(verdicts: Sequence[Verdict]) -> list[Table]:
    """The verdicts at a glance, one table a comparison: a row a conclusion and measure, a column a protocol."""
    tables = []
    for name, title in (("max_episode_steps", "Verdicts: episode limit"), ("worker_count", "Verdicts: workers")):
        mine = [one for one in verdicts if name in one.conclusion.ablations]
        keys = list(dict.fromkeys(one.protocol.key for one in mine))
        titles = {one.protocol.key: one.protocol.title for one in mine}
        rows = []
        for number, measure in dict.fromkeys((one.conclusion.number, one.measure) for one in mine):
            cells = {one.protocol.key: one for one in mine if (one.conclusion.number, one.measure) == (number, measure)}
            conclusion = next(iter(cells.values())).conclusion
            head = Cell(f"{number}. {conclusion.title}", f"by {_MEASURES[measure]}")
            rows.append((head, *(_verdict_cell(cells.get(key)) for key in keys)))
        tables.append(Table(title, ("conclusion", *(titles[key] for key in keys)), 1 + len(keys), tuple(rows)))
    return tables


def protocol_table(found: Sequence[Protocol]) -> Table:
    """What the protocols are that the other tables name."""
    keys = dict.fromkeys(one.key for one in found)
    rows = [(Cell(TITLES.get(key, key)), Cell(WORDS.get(key, "A control of its own."))) for key in keys]
    return Table("Protocols", ("protocol", "what it is"), 2, tuple(rows))


def finding_table(verdicts: Sequence[Verdict]) -> Table:
    """What every verdict rests on: a row a part and change."""
    columns = ("conclusion", "protocol", "measure", "change", "says it", "effect", "likely", "seeds", "verdict", "alone")
    rows = [
        (
            Cell(str(verdict.conclusion.number)),
            Cell(verdict.protocol.title),
            Cell(_MEASURES[verdict.measure]),
            Cell(item.change),
            Cell(item.part.says),
            Cell(_effect(item), _interval(item)),
            Cell(f"{100 * item.likely:.0f} %" if math.isfinite(item.likely) else NONE),
            Cell(str(item.seeds) if item.seeds else NONE),
            Cell(item.answer, item.reason, status=item.answer.replace(" ", "-")),
            Cell(item.alone if not item.reason else NONE),
        )
        for verdict in verdicts
        for item in verdict.findings
    ]
    return Table("What the verdicts rest on", columns, 5, tuple(rows))


def end_table(found: Sequence[Protocol]) -> Table:
    """Where every group ends, by the standard evaluation: interquartile means over seeds with their intervals."""
    rows = []
    for protocol in found:
        for arm in protocol.arms:
            told = ends(protocol, arm)
            cells = [_mean_cell(values) for values in told]
            if told[0].size:
                names = (_SUBJECTS.get(protocol.ablation, protocol.ablation), protocol.title, arm_label(protocol.ablation, arm))
                rows.append((*map(Cell, names), Cell(str(told[0].size)), *cells))
    columns = ("comparison", "protocol", "group", "seeds", "evaluation at the end", "on the way")
    return Table("Where they end", columns, 3, tuple(rows))


def clock_table(found: Sequence[Protocol]) -> Table:
    """How long runs took and how stale their gradients were, where every run had a process to itself."""
    rows = []
    for protocol in found:
        for arm, runs in protocol.arms.items():
            if protocol.ablation in ("max_episode_steps", "worker_count") and runs:
                done = [result(run) for run in runs]
                alone = all(run.together == 1 for run in runs)
                seconds = mean([one.wall_time for one in done])
                rows.append(
                    (
                        Cell(protocol.title),
                        Cell(arm_label(protocol.ablation, arm)),
                        Cell(str(len(runs))),
                        Cell(f"{mean([one.episodes for one in done]):,.0f}"),
                        Cell(f"{mean([one.env_steps for one in done]):,.0f}"),
                        Cell(duration(seconds) if alone else NONE, "" if alone else "seeds shared a process"),
                        Cell(
                            rounded(mean([one.policy_lag for one in done]), 1.0), _largest([one.policy_lag_max for one in done])
                        ),
                    )
                )
    columns = ("protocol", "group", "seeds", "episodes", "env steps", "wall time", "policy lag")
    return Table("What was run", columns, 2, tuple(rows))


def prediction_table(predicted: Sequence[Prediction]) -> Table:
    """The fourth conclusion on machines with so many cores."""
    rows = [
        (
            Cell("one process a core" if one.stacked else "one process a worker"),
            Cell(f"{one.change[0]} to {one.change[1]} workers"),
            Cell(str(one.cores)),
            Cell(duration(one.before)),
            Cell(duration(one.after)),
            Cell(f"{TIMES}{one.ratio:.2f}"),
            Cell(one.answer, status=one.answer.replace(" ", "-")),
        )
        for one in predicted
    ]
    columns = ("where workers live", "change", "cores", "before", "after", "longer", "takes clearly longer")
    return Table("Wall time predicted", columns, 2, tuple(rows))


_MEASURES = {"training": "training", "evaluation": "evaluation", "clock": "clock"}


_SUBJECTS = {
    "max_episode_steps": "episode limit",
    "worker_count": "workers",
    "worker_range": "workers, range",
    "staleness": "staleness",
    "n_step": "window",
}


def _mean_cell(values: FloatArray) -> Cell:
    low, high = seed_interval(values)
    middle = float(interquartile_mean(values)) if values.size else math.nan
    return Cell(rounded(middle, high - low), bracketed((low, high)))


def _verdict_cell(verdict: Verdict | None) -> Cell:
    if verdict is None:
        return Cell(NONE)
    note = verdict.reason
    if not note and verdict.alone != verdict.answer:
        note = f"leans: {verdict.alone}"
    return Cell(verdict.answer, f"({note})" if note else "", status=verdict.answer.replace(" ", "-"))


def _effect(item: Finding) -> str:
    if not math.isfinite(item.effect):
        return NONE
    return f"{TIMES}{math.exp(item.effect):.2f}" if item.part.is_ratio else _signed(item.effect, item.interval)


def _interval(item: Finding) -> str:
    low, high = item.interval
    if not math.isfinite(low + high):
        return ""
    if item.part.is_ratio:
        return f"[{math.exp(low):.2f}, {math.exp(high):.2f}]"
    return f"[{_signed(low, item.interval)}, {_signed(high, item.interval)}]"


def _signed(value: float, interval: Interval) -> str:
    text = rounded(abs(value), interval[1] - interval[0])
    sign = "" if not text.strip("0.") else "+" if value > 0 else MINUS  # what rounds to nothing has none
    return f"{sign}{text}"


def _largest(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"max {max(known):.0f}" if known else ""
