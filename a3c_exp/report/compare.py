"""Two sides compared: ``--compare A B``. What differs, by how much, and whether that can be chance."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a3c_exp.report.aggregate import Comparison, Configuration, group_by_configuration
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.curves import run_curve
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.sections import Cell, Section, Table, make_row
from a3c_exp.runs.query import is_condition, parse_condition, select_runs
from a3c_exp.runs.run_directories import find_runs
from a3c_exp.stats.estimates import MIN_SEEDS, interquartile_mean, mean, probability_of_improvement, std
from a3c_exp.stats.significance import MIN_VERDICT_SEEDS, bonferroni_confidence, yuen_contrast
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import NO_VALUE, format_interval, format_mean_std, format_number

_MAX_SHOWN_VALUES = 12  # configuration values


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: what was typed, and the runs that it means."""

    name: str
    runs: tuple[RunData, ...]


class ComparisonMeasure(NamedTuple):
    """A number a run by which sides are compared; a larger one is better unless ``better`` says otherwise."""

    title: str
    value_of: Callable[[RunData], float]
    better: str = "better"
    is_of_process: bool = False  #: whether it is a number a process: seeds that shared one have it together


class _Pair(NamedTuple):
    """The runs of a configuration of A, and those of the one of B that is like it but for what tells A from B."""

    label: str
    runs_a: Sequence[RunData]
    runs_b: Sequence[RunData]


def _mean_evaluation(run: RunData) -> float:
    """Mean height of the evaluation curve over the run: how good it was all the way, not at its end alone."""
    found = run_curve(run, "evaluations", "mean", "env_step")
    if found is None or found.x.size < 2:
        return math.nan
    return float(np.trapezoid(found.y, found.x) / np.ptp(found.x))


COMPARISON_MEASURES = (
    ComparisonMeasure("last evaluation", lambda run: run.result("evaluation")),
    ComparisonMeasure("evaluations, mean over the run", _mean_evaluation),
    ComparisonMeasure("moving average at the end", lambda run: run.result("moving_average")),
    ComparisonMeasure(
        "steps a second of a process",
        lambda run: run.result("steps_per_second") * run.num_seeds_in_process,
        better="faster",
        is_of_process=True,
    ),
)


def resolve_sides(side_specs: tuple[str, str], runs: Sequence[RunData]) -> tuple[Side, Side]:
    """The two sides that ``side_specs`` mean among ``runs``: each is a folder of runs, or conditions (``parallelism=hogwild``).
    Raises ConfigError if one means no run, or both mean the same run."""
    places = {run.path.resolve(): run for run in runs}
    found = []
    for word in side_specs:
        if Path(word).is_dir():
            chosen = [places[path.resolve()] for path in find_runs([word]) if path.resolve() in places]
        elif all(map(is_condition, word.split())):
            matches = select_runs(runs, [parse_condition(part) for part in word.split()])
            chosen = [run for run in runs if run in matches]
        else:
            raise ConfigError(f"--compare {word}: neither a folder of runs nor a condition. Try workers=4, or a folder of runs")
        if not chosen:
            raise ConfigError(f"--compare {word}: means none of the {len(runs)} runs here. Name a condition that some meet")
        found.append(Side(word if is_condition(word) else Path(word).resolve().name, tuple(chosen)))
    if both := [run for run in found[0].runs if run in found[1].runs]:
        typed, example = " ".join(side_specs), both[0].path
        raise ConfigError(f"--compare {typed}: both mean {len(both)} of the same runs, as {example}. Name two that share none")
    return found[0], found[1]


def build_comparison_section(side_a: Side, side_b: Side, ignore: Sequence[str] = ()) -> Section:
    """``side_a`` (A) against ``side_b`` (B), configuration by configuration where both have several."""
    together = group_by_configuration((*side_a.runs, *side_b.runs), ignore)
    differing, pairs, num_unmatched = _match_configurations(together, side_a, side_b)
    for pair in pairs:
        tasks = [sorted({run.task for run in runs} - {""}) for runs in (pair.runs_a, pair.runs_b)]
        if len({*tasks[0], *tasks[1]}) > 1:
            a, b = map(", ".join, tasks)
            raise ConfigError(f"--compare: A is of {a} and B of {b}, whose numbers do not compare; name two sides of one task")
    rows, tests = [], len(pairs) * len(COMPARISON_MEASURES)
    for pair in pairs:
        rows += [row for measure in COMPARISON_MEASURES if (row := _row(pair, measure, tests)) is not None]
    a, b = (side_a.name, side_b.name) if side_a.name != side_b.name else (f"{side_a.name} (first)", f"{side_b.name} (second)")
    columns = ("configuration", "measure", "verdict", f"A: {a}", f"B: {b}", "seeds", "B less A", "B ahead in")
    lead = _lead(rows, len(pairs) > 1)
    skip = int(len(pairs) == 1)  # which needs no name
    verdicts = Table("Verdicts", columns[skip:], 3 - skip, tuple(row[skip:] for row in rows))
    what = Table("What differs", ("value", "A", "B"), 3, tuple(make_row(*texts) for texts in differing[:_MAX_SHOWN_VALUES]))
    notes = []
    if not differing:
        notes.append("A and B have the same configuration: what differs between them is chance, the code or the machine.")
    if (number := len(differing)) > _MAX_SHOWN_VALUES:
        notes.append(f"A and B differ in {number} values of their configurations; the table has the first {_MAX_SHOWN_VALUES}.")
    if num_unmatched:
        several = "s" * (num_unmatched > 1)
        notes.append(f"Not compared, without a counterpart on the other side: {num_unmatched} configuration{several}.")
    if any({run.numbers for run in pair.runs_a} & {run.numbers for run in pair.runs_b} - {b""} for pair in pairs):
        notes.append("Some runs of A are the same as runs of B, number for number, but for their times.")
    return Section(f"{a} against {b}", lead, tuple(table for table in (verdicts, what) if table.rows), notes=tuple(notes))


def _match_configurations(together: Comparison, a: Side, b: Side) -> tuple[list[tuple[str, str, str]], list[_Pair], int]:
    """What distinguishes the sides as such; configurations that match but for that; how many have none that matches."""
    groups = [[item for item in together.configurations if set(item.runs) & set(side.runs)] for side in (a, b)]
    keys = together.varying_keys
    values = {name: [sorted({dict(item.values).get(name, "") for item in group}) for group in groups] for name in keys}
    unlike = [(name, ", ".join(of_a), ", ".join(of_b)) for name, (of_a, of_b) in values.items() if of_a != of_b]
    differing = [row for row in unlike if all(len(of_side) == 1 for of_side in values[row[0]])]
    names = {name for name, _, _ in differing}

    def rest(item: Configuration) -> tuple[tuple[str, str], ...]:
        return tuple(pair for pair in item.values if pair[0] not in names)

    b_by_rest = {rest(item): item for item in groups[1]}
    pairs = []
    for item in groups[0]:
        if (like := b_by_rest.get(rest(item))) is not None:
            label = " ".join(f"{name}={value}" for name, value in rest(item) if len({*chain(*values[name])}) > 1)
            runs_a, runs_b = ([run for run in one.runs if run in side.runs] for one, side in ((item, a), (like, b)))
            pairs.append(_Pair(label or item.label, runs_a, runs_b))
    if pairs:
        return differing, pairs, len(groups[0]) + len(groups[1]) - 2 * len(pairs)
    return unlike, [_Pair("all", a.runs, b.runs)], 0


def _row(pair: _Pair, measure: ComparisonMeasure, num_tests: int) -> tuple[Cell, ...] | None:
    a, b = (_measured_values(runs, measure) for runs in (pair.runs_a, pair.runs_b))
    if not (fewest := min(a.size, b.size)):
        return None
    unit = "processes" if measure.is_of_process else "seeds"
    difference, interval, ahead, verdict = NO_VALUE, "", NO_VALUE, f"too few {unit}"
    if fewest >= MIN_SEEDS:
        found = yuen_contrast(b, a)
        low, high = found.interval()
        difference, interval = format_number(found.difference, high - low), format_interval((low, high))
        ahead = f"{probability_of_improvement(b, a):.0%}"
        if fewest >= MIN_VERDICT_SEEDS:
            low, high = found.interval(bonferroni_confidence(num_tests))
            verdict = f"B {measure.better}" if low > 0 else f"A {measure.better}" if high < 0 else "undecided"
    else:
        difference = format_number(float(interquartile_mean(b) - interquartile_mean(a)))
    status = "clear" if verdict[:2] in ("A ", "B ") else "undecided"
    means = (format_mean_std(mean(values), std(values)) for values in (a, b))
    sizes = Cell(f"{a.size}, {b.size}", unit if measure.is_of_process else "")
    return make_row(pair.label, measure.title, Cell(verdict, status=status), *means, sizes, Cell(difference, interval), ahead)


def _measured_values(runs: Sequence[RunData], measure: ComparisonMeasure) -> FloatArray:
    """One finite number a run, or a process: of the finished runs, or of all where none is."""
    counted = [run for run in runs if run.status == "finished"] or runs
    measured: dict[Path, list[float]] = defaultdict(list)
    for run in counted:
        shared = measure.is_of_process and run.num_seeds_in_process > 1
        measured[run.path.resolve().parent if shared else run.path].append(measure.value_of(run))
    values = np.array([mean(found) for found in measured.values()], dtype=np.float64)
    return values[np.isfinite(values)]


def _lead(rows: Sequence[tuple[Cell, ...]], label_pairs: bool) -> str:
    if not rows:
        return "No run of one side has a number to hold against the other's yet."
    if all(verdict.text.startswith("too few") for _, _, verdict, *_ in rows):
        return f"Too few seeds for a verdict: it takes {MIN_VERDICT_SEEDS} finished ones on either side."
    found = [
        (f"{verdict.text} by {measure.text}", label.text) for label, measure, verdict, *_ in rows if verdict.status == "clear"
    ]
    clear = [f"{what} ({label})" if label_pairs else what for what, label in found]
    return f"Beyond chance: {'; '.join(clear)}." if clear else "Nothing that was measured distinguishes A from B beyond chance."
