"""The published report's ablations, judged: verdicts first, then what they rest on. A report takes it from ``section``."""

from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.report.ablations.claims import CONCLUSIONS
from a3c_exp.report.ablations.comparisons import Protocol, protocols
from a3c_exp.report.ablations.curves import lag_picture, report_curves
from a3c_exp.report.ablations.effects import clock_picture, effect_picture, profile_picture, range_picture
from a3c_exp.report.ablations.tables import (
    clock_table,
    end_table,
    finding_table,
    prediction_table,
    protocol_table,
    verdict_tables,
)
from a3c_exp.report.ablations.verdicts import CONFIDENCE, ENOUGH_SEEDS, Verdict, judge
from a3c_exp.report.ablations.wall_time_model import Costs, Prediction, find_costs, predictions
from a3c_exp.report.figures.multi_panel import Picture, styled
from a3c_exp.report.run_reader import Run
from a3c_exp.report.tables import Table
from a3c_exp.stats.significance import simultaneous


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
        protocol_table(found),
        finding_table(verdicts),
        end_table(found),
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


def _lead(verdicts: Sequence[Verdict]) -> str:
    comparisons = max((one.comparisons for one in verdicts), default=0)
    if not comparisons:
        return f"No verdict yet: each takes at least {ENOUGH_SEEDS} finished seeds in both of the groups that it compares."
    each = 100 * simultaneous(comparisons, CONFIDENCE)
    return (
        f"A conclusion is supported where all its parts are. {comparisons} comparisons were made, so each verdict rests on an "
        f"interval that holds with {each:.2f} % confidence, and all of them together with {100 * CONFIDENCE:.0f} %. "
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
    notes += _agreement(verdicts)
    if any(one.key == "own_limit" and one.ablation == "max_episode_steps" for one in found):
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


def _agreement(verdicts: Sequence[Verdict]) -> list[str]:
    """Whether real and virtual asynchrony come to the same verdicts."""
    told: dict[tuple[int, str], dict[str, str]] = {}
    for one in verdicts:
        if one.protocol.key in ("published", "hogwild") and one.measure != "clock":
            told.setdefault((one.conclusion.number, one.measure), {})[one.protocol.key] = one.answer
    both = [answers for answers in told.values() if len(answers) == 2]
    if not both:
        return []
    same = sum(len(set(answers.values())) == 1 for answers in both)
    return [
        f"Real asynchrony (hogwild) comes to the same verdict as virtual time (as published) in {same} of {len(both)} cases."
    ]
