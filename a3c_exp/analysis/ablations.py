"""The published report's ablations, judged: verdicts first, then what they rest on. A report takes it from ``section``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.analysis.ablation_curves import lag_picture, report_curves
from a3c_exp.analysis.ablation_effects import clock_picture, effect_picture, profile_picture, range_picture
from a3c_exp.analysis.claims import CONCLUSIONS
from a3c_exp.analysis.costs import Costs, Prediction, find_costs, predictions
from a3c_exp.analysis.inference import simultaneous
from a3c_exp.analysis.panels import Picture, styled
from a3c_exp.analysis.protocols import Protocol, protocols
from a3c_exp.analysis.results import result
from a3c_exp.analysis.runs import Run
from a3c_exp.analysis.stats import Interval, mean
from a3c_exp.analysis.tables import MINUS, NONE, Cell, Table, duration, rounded
from a3c_exp.analysis.verdicts import CONFIDENCE, ENOUGH_SEEDS, Finding, Verdict, judge

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, eq=False)
class Section:
    """What there is to say about the ablations among some runs.

    Attributes:
        title: its heading.
        lead: what was judged and how, a paragraph of plain sentences.
        verdicts: one for each conclusion, protocol and measure.
        predictions: the fourth conclusion on other machines; empty without ``costs.json``.
        tables: verdicts at a glance (a row a conclusion and measure, a column a protocol), what they rest on, what was run, and
            wall times predicted; those that have rows. Cells that hold a verdict have it as their ``status``, with hyphens.
        pictures: the report's curves first; empty if none were asked for.
        notes: reasons for doubt, one sentence each.
    """

    title: str
    lead: str
    verdicts: tuple[Verdict, ...]
    predictions: tuple[Prediction, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


def section(runs: Sequence[Run], draw: bool = True) -> Section | None:
    """Everything about the ablations among ``runs``; ``None`` if no run belongs to one.

    Args:
        runs: as read; those that belong to no ablation are ignored, those that did not finish are counted and left out.
        draw: whether to make the figures, which takes matplotlib and most of the time.

    Raises:
        A3CError: figures are wanted and matplotlib is not installed.
    """
    found = protocols(runs)
    if not found:
        return None
    verdicts = judge(found)
    costs = find_costs(run for one in found for members in one.arms.values() for run in members)
    predicted = predictions(costs) if costs is not None else []
    tables = [
        *verdict_tables(verdicts),
        finding_table(verdicts),
        clock_table(found),
        prediction_table(predicted),
    ]
    return Section(
        "The report's conclusions, judged",
        _lead(verdicts),
        tuple(verdicts),
        tuple(predicted),
        tuple(table for table in tables if table.rows),
        tuple(pictures(found, verdicts, costs)) if draw else (),
        tuple(_notes(found, verdicts, costs)),
    )


def pictures(found: Sequence[Protocol], verdicts: Sequence[Verdict], costs: Costs | None) -> list[Picture]:
    """Curves in the report's layout, effects, ranges, profiles, lags and predicted wall times: those that have numbers."""

    def drawn() -> list[Picture | None]:
        made: list[Picture | None] = []
        by_key = {(one.ablation, one.key): one for one in found}
        for ablation in ("max_episode_steps", "worker_count"):
            mine = [one for one in found if one.ablation == ablation]
            made += [report_curves(one) for one in mine]
            made.append(profile_picture([one for one in mine if one.key in ("published", "fair")]))
            if (ablation, "hogwild") in by_key and (ablation, "published") in by_key:
                made.append(lag_picture(by_key[ablation, "published"], by_key[ablation, "hogwild"]))
        for conclusion in CONCLUSIONS:
            mine_too = [one for one in verdicts if one.conclusion is conclusion]
            made.append(effect_picture(mine_too) if mine_too else None)
        for ablation in ("worker_range", "staleness"):
            mine = [one for one in found if one.ablation == ablation]
            made.append(range_picture(mine, ablation) if mine else None)
        for task in ("Pendulum", "CartPole"):
            mine = [one for one in found if one.ablation == "n_step" and one.key.startswith(task.lower())]
            made.append(range_picture(mine, "n_step", task) if mine else None)
        made.append(clock_picture(costs) if costs is not None else None)
        return made

    return [one for one in styled(drawn) if one is not None]


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
                        Cell(arm.rpartition("_")[2] + " " + arm.partition("_")[0]),
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
    return f"{'+' if value > 0 else MINUS if value < 0 else ''}{text}"


def _largest(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"max {max(known):.0f}" if known else ""


def _lead(verdicts: Sequence[Verdict]) -> str:
    comparisons = max((one.comparisons for one in verdicts), default=0)
    if not comparisons:
        return f"No verdict yet: each takes at least {ENOUGH_SEEDS} finished seeds in both of the groups that it compares."
    each = 100 * simultaneous(comparisons, CONFIDENCE)
    return (
        f"A conclusion is supported where all its parts are. {comparisons} comparisons were made, so each verdict rests on an "
        f"interval that holds with {each:.3g} % confidence, and all of them together with {100 * CONFIDENCE:.0f} %. "
        f"Where a verdict is undecided for that reason alone, the table says where it leans."
    )


def _notes(found: Sequence[Protocol], verdicts: Sequence[Verdict], costs: Costs | None) -> list[str]:
    notes = [f"{one.ablation.replace('_', ' ')}, {one.title}: {caution}" for one in found for caution in one.cautions]
    for one in found:
        if one.left_out:
            what = (
                "1 run that did not finish or repeats"
                if one.left_out == 1
                else f"{one.left_out} runs that did not finish or repeat"
            )
            notes.append(f"{one.ablation.replace('_', ' ')}, {one.title}: left out {what} a seed.")
    if costs is None and any(one.measure == "clock" for one in verdicts):
        notes.append(
            "No wall times are predicted for other machines: python -m a3c_exp.calibrate --out FOLDER, with the folder of "
            "these runs, measures what that takes."
        )
    return notes
