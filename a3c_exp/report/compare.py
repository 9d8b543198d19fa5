"""Two sides compared: ``--compare A B``. What differs, by how much, and whether that can be chance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a3c_exp.report.aggregate import Comparison, Configuration, group_by_configuration, run_curve
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.run_results import RunResult, run_result
from a3c_exp.report.sections import PlainSection
from a3c_exp.report.tables import Cell, Table
from a3c_exp.runs.discovery import RUN_DIRECTORY_HINT, find_runs
from a3c_exp.runs.query import is_condition, parse_condition, select_runs
from a3c_exp.stats.estimates import MIN_SEEDS, interquartile_mean, mean, probability_of_improvement, std
from a3c_exp.stats.significance import bonferroni_confidence, yuen_contrast
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import NO_VALUE, format_interval, format_mean_std, format_number

MIN_VERDICT_SEEDS = 5  # fewer on either side, and a difference is shown without a verdict
_MAX_SHOWN_VALUES = 12  # configuration values


@dataclass(frozen=True)
class ComparisonMeasure:
    """A number a run by which sides are compared; a larger one is better unless ``better`` says otherwise."""

    title: str
    value_of: Callable[[RunData, RunResult], float]
    better: str = "better"


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: what was typed, and the runs that it means."""

    name: str
    runs: tuple[RunData, ...]


@dataclass(frozen=True, eq=False)
class Pair:
    """A configuration of A and the one of B that is like it but for what tells A from B."""

    label: str
    side_a: Configuration
    side_b: Configuration


def _mean_evaluation(run: RunData, _: RunResult) -> float:
    """Mean height of the evaluation curve over the run: how good it was all the way, not at its end alone."""
    found = run_curve(run, "evaluations", "mean", "env_step")
    if found is None or found.x.size < 2:
        return math.nan
    widths = np.diff(found.x)
    return float(((found.y[1:] + found.y[:-1]) / 2 * widths).sum() / widths.sum())


COMPARISON_MEASURES = (
    ComparisonMeasure("last evaluation", lambda run, done: done.evaluation.mean),
    ComparisonMeasure("evaluations, mean over the run", _mean_evaluation),
    ComparisonMeasure("moving average at the end", lambda run, done: done.moving_average),
    ComparisonMeasure("steps a second", lambda run, done: done.steps_per_second, "faster"),
)


def resolve_sides(side_specs: tuple[str, str], runs: Sequence[RunData]) -> tuple[Side, Side]:
    """The two sides that ``side_specs`` mean among ``runs``: each is a folder of runs, or conditions (``parallelism=hogwild``).

    Raises:
        ConfigError: one means no run, or both mean the same run.
    """
    places = {run.path.resolve(): run for run in runs}
    found = []
    for word in side_specs:
        if Path(word).is_dir():
            chosen = [places[path.resolve()] for path in find_runs([word]) if path.resolve() in places]
        elif all(map(is_condition, word.split())):
            matches = select_runs(runs, [parse_condition(part) for part in word.split()])
            chosen = [run for run in runs if run in matches]
        else:
            raise ConfigError(
                f"--compare {word}: neither a folder of runs nor a condition such as workers=4; {RUN_DIRECTORY_HINT}"
            )
        if not chosen:
            raise ConfigError(f"--compare {word}: means none of the {len(runs)} runs of this report")
        found.append(Side(word if is_condition(word) else Path(word).resolve().name, tuple(chosen)))
    both = [run for run in found[0].runs if run in found[1].runs]
    if both:
        raise ConfigError(
            f"--compare {side_specs[0]} {side_specs[1]}: both mean {len(both)} of the same runs, such as {both[0].path}"
        )
    return found[0], found[1]


def build_comparison_section(side_a: Side, side_b: Side, ignore: Sequence[str] = ()) -> PlainSection:
    """``side_a`` (A) against ``side_b`` (B), configuration by configuration where both have several."""
    together = group_by_configuration((*side_a.runs, *side_b.runs), ignore)
    differing, pairs, alone = _match_configurations(together, side_a, side_b)
    rows, tests = [], len(pairs) * len(COMPARISON_MEASURES)
    for pair in pairs:
        rows += [row for measure in COMPARISON_MEASURES if (row := _row(pair, measure, tests, len(pairs) > 1)) is not None]
    a, b = _distinct_names(side_a.name, side_b.name)
    columns = (*(("configuration",) if len(pairs) > 1 else ()), "measure", "verdict", f"A: {a}", f"B: {b}", "seeds", "B less A",
               "B ahead in")  # fmt: skip
    verdicts = Table("Verdicts", columns, 3 if len(pairs) > 1 else 2, tuple(rows))
    names = tuple((Cell(name), Cell(of_a), Cell(of_b)) for name, of_a, of_b in differing[:_MAX_SHOWN_VALUES])
    what = Table("What differs", ("value", "A", "B"), 3, names)
    return PlainSection(f"{a} against {b}", _lead(rows, len(pairs) > 1), (verdicts,) * bool(rows) + (what,) * bool(names),
                notes=tuple(_notes(differing, alone)))  # fmt: skip


def _notes(differing: Sequence[tuple[str, str, str]], num_unmatched: int) -> list[str]:
    notes = []
    if not differing:
        notes.append("A and B have the same configuration: what differs between them is chance, the code or the machine.")
    if len(differing) > _MAX_SHOWN_VALUES:
        notes.append(
            f"A and B differ in {len(differing)} values of their configurations; the table has the first {_MAX_SHOWN_VALUES}."
        )
    if num_unmatched:
        notes.append(
            f"Not compared, without a counterpart on the other side: {num_unmatched} configuration{'s' * (num_unmatched > 1)}."
        )
    return notes


def _match_configurations(
    comparison: Comparison, side_a: Side, side_b: Side
) -> tuple[list[tuple[str, str, str]], list[Pair], int]:
    """What distinguishes the sides as such; configurations that match but for that; how many have none that matches."""
    groups = [[item for item in comparison.configurations if set(item.runs) & set(side.runs)] for side in (side_a, side_b)]
    values = [
        {name: {dict(item.values).get(name, "") for item in group} for name in comparison.varying_keys} for group in groups
    ]
    fixed = [name for name in comparison.varying_keys if all(len(one[name]) == 1 for one in values)]
    fixed_values = [(name, *(min(one[name]) for one in values)) for name in fixed]
    differing = [(name, of_a, of_b) for name, of_a, of_b in fixed_values if of_a != of_b]
    names = {name for name, _, _ in differing}

    def rest(item: Configuration) -> tuple[tuple[str, str], ...]:
        return tuple(pair for pair in item.values if pair[0] not in names)

    b_by_rest = {rest(item): item for item in groups[1]}
    pairs = []
    for item in groups[0]:
        like = b_by_rest.get(rest(item))
        if like is not None:
            label = " ".join(f"{name}={value}" for name, value in rest(item) if len({v for g in values for v in g[name]}) > 1)
            pairs.append(Pair(label or item.label, _runs_of_side(item, side_a), _runs_of_side(like, side_b)))
    if pairs:
        return differing, pairs, len(groups[0]) + len(groups[1]) - 2 * len(pairs)
    sides = [Configuration(side.name, side.name, (), side.runs) for side in (side_a, side_b)]
    ranges = [(name, *(", ".join(sorted(one[name])) for one in values)) for name in comparison.varying_keys]
    return [(name, of_a, of_b) for name, of_a, of_b in ranges if of_a != of_b], [Pair("all", sides[0], sides[1])], 0


def _runs_of_side(configuration: Configuration, side: Side) -> Configuration:
    """Of the same configuration on both sides, the runs of this one."""
    return Configuration(
        configuration.label,
        configuration.short_label,
        configuration.values,
        tuple(run for run in configuration.runs if run in side.runs),
    )


def _row(pair: Pair, measure: ComparisonMeasure, num_tests: int, label_pair: bool) -> tuple[Cell, ...] | None:
    values_a, values_b = (_measured_values(item, measure) for item in (pair.side_a, pair.side_b))
    if not (values_a.size and values_b.size):
        return None
    difference, interval, ahead, verdict = NO_VALUE, "", NO_VALUE, "too few seeds"
    if min(values_a.size, values_b.size) >= MIN_SEEDS:
        found = yuen_contrast(values_b, values_a)
        low, high = found.interval()
        difference, interval = format_number(found.difference, high - low), format_interval((low, high))
        ahead = f"{probability_of_improvement(values_b, values_a):.0%}"
        if min(values_a.size, values_b.size) >= MIN_VERDICT_SEEDS:
            low, high = found.interval(bonferroni_confidence(num_tests))
            verdict = f"B {measure.better}" if low > 0 else f"A {measure.better}" if high < 0 else "undecided"
    elif min(values_a.size, values_b.size) > 0:
        difference = format_number(float(interquartile_mean(values_b) - interquartile_mean(values_a)))
    cells = (Cell(measure.title), _verdict_cell(verdict), Cell(format_mean_std(mean(values_a), std(values_a))),
             Cell(format_mean_std(mean(values_b), std(values_b))), Cell(f"{values_a.size}, {values_b.size}"),
             Cell(difference, interval), Cell(ahead))  # fmt: skip
    return (Cell(pair.label), *cells) if label_pair else cells


def _verdict_cell(text: str) -> Cell:
    return Cell(text, status="clear" if text[:2] in ("A ", "B ") else "undecided")


def _measured_values(configuration: Configuration, measure: ComparisonMeasure) -> FloatArray:
    """One finite number a run: of the finished ones, or of all where none is."""
    runs = [run for run in configuration.runs if run.status == "finished"] or list(configuration.runs)
    values = np.array([measure.value_of(run, run_result(run)) for run in runs], dtype=np.float64)
    return values[np.isfinite(values)]


def _lead(rows: Sequence[tuple[Cell, ...]], label_pairs: bool) -> str:
    if not rows:
        return "No run of one side has a number to hold against the other's yet."
    at = 1 if label_pairs else 0
    clear = [(row[at].text, row[at + 1].text, row[0].text) for row in rows if row[at + 1].status == "clear"]
    if all(row[at + 1].text == "too few seeds" for row in rows):
        return f"Too few seeds for a verdict: it takes {MIN_VERDICT_SEEDS} finished ones on either side."
    if not clear:
        return "Nothing that was measured distinguishes A from B beyond chance."
    return "Beyond chance: " + "; ".join(
        f"{verdict} by {measure}" + (f" ({label})" if label_pairs else "") for measure, verdict, label in clear
    ) + "."  # fmt: skip


def _distinct_names(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
