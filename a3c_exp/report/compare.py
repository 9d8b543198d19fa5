"""Two sides held against each other: ``--compare A B``. What differs, by how much, and whether that can be chance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a3c_exp.report.aggregate import Comparison, Configuration, compare, curve
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import Run
from a3c_exp.report.run_results import Result, result
from a3c_exp.report.sections import Part
from a3c_exp.report.tables import Cell, Table
from a3c_exp.runs.discovery import RUN_DIRECTORY, find_runs
from a3c_exp.runs.query import is_condition, parse, select_runs
from a3c_exp.runs.run_summary import Entry
from a3c_exp.stats.estimates import MIN_SEEDS, interquartile_mean, mean, probability_of_improvement, std
from a3c_exp.stats.significance import contrast, simultaneous
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import NONE, bracketed, plus_minus, rounded

VERDICT_SEEDS = 5  # fewer on either side, and a difference is told but not judged
_SHOWN = 12  # configuration values


@dataclass(frozen=True)
class Measure:
    """A number a run by which sides are compared; a larger one is better unless ``better`` says otherwise."""

    title: str
    of: Callable[[Run, Result], float]
    better: str = "better"


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: what was typed, and the runs that it means."""

    name: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, eq=False)
class Pair:
    """A configuration of A and the one of B that is like it but for what tells A from B."""

    label: str
    ours: Configuration
    theirs: Configuration


def _area(run: Run, _: Result) -> float:
    """Mean height of the evaluation curve over the run: how good it was all the way, not at its end alone."""
    found = curve(run, "evaluations", "mean", "env_step")
    if found is None or found.x.size < 2:
        return math.nan
    widths = np.diff(found.x)
    return float(((found.y[1:] + found.y[:-1]) / 2 * widths).sum() / widths.sum())


MEASURES = (
    Measure("last evaluation", lambda run, done: done.evaluation.mean),
    Measure("evaluations, mean over the run", _area),
    Measure("moving average at the end", lambda run, done: done.moving_average),
    Measure("steps a second", lambda run, done: done.steps_per_second, "faster"),
)


def sides(words: tuple[str, str], runs: Sequence[Run]) -> tuple[Side, Side]:
    """The two sides that ``words`` mean among ``runs``: each is a folder of runs, or conditions (``parallelism=hogwild``).

    Raises:
        ConfigError: one means no run, or both mean the same run.
    """
    places = {run.path.resolve(): run for run in runs}
    found = []
    for word in words:
        if Path(word).is_dir():
            chosen = [places[path.resolve()] for path in find_runs([word]) if path.resolve() in places]
        elif all(map(is_condition, word.split())):
            entries = select_runs([Entry(path) for path in places], [parse(part) for part in word.split()])
            chosen = [places[entry.path] for entry in entries]
        else:
            raise ConfigError(f"--compare {word}: neither a folder of runs nor a condition such as workers=4; {RUN_DIRECTORY}")
        if not chosen:
            raise ConfigError(f"--compare {word}: means none of the {len(runs)} runs of this report")
        found.append(Side(word if is_condition(word) else Path(word).resolve().name, tuple(chosen)))
    both = [run for run in found[0].runs if run in found[1].runs]
    if both:
        raise ConfigError(f"--compare {words[0]} {words[1]}: both mean {len(both)} of the same runs, such as {both[0].path}")
    return found[0], found[1]


def section(ours: Side, theirs: Side, ignore: Sequence[str] = ()) -> Part:
    """``ours`` (A) against ``theirs`` (B), configuration by configuration where both have several."""
    together = compare((*ours.runs, *theirs.runs), ignore)
    differing, pairs, alone = _pairs(together, ours, theirs)
    rows, tests = [], len(pairs) * len(MEASURES)
    for pair in pairs:
        rows += [row for measure in MEASURES if (row := _row(pair, measure, tests, len(pairs) > 1)) is not None]
    a, b = _told_apart(ours.name, theirs.name)
    columns = (*(("configuration",) if len(pairs) > 1 else ()), "measure", "verdict", f"A: {a}", f"B: {b}", "seeds", "B less A",
               "B ahead in")  # fmt: skip
    verdicts = Table("Verdicts", columns, 3 if len(pairs) > 1 else 2, tuple(rows))
    names = tuple((Cell(name), Cell(of_a), Cell(of_b)) for name, of_a, of_b in differing[:_SHOWN])
    what = Table("What differs", ("value", "A", "B"), 3, names)
    return Part(f"{a} against {b}", _lead(rows, len(pairs) > 1), (verdicts,) * bool(rows) + (what,) * bool(names),
                notes=tuple(_notes(differing, alone)))  # fmt: skip


def _notes(differing: Sequence[tuple[str, str, str]], alone: int) -> list[str]:
    notes = []
    if not differing:
        notes.append("A and B have the same configuration: what differs between them is chance, the code or the machine.")
    if len(differing) > _SHOWN:
        notes.append(f"A and B differ in {len(differing)} values of their configurations; the table has the first {_SHOWN}.")
    if alone:
        notes.append(f"Without their like on the other side, and so not compared: {alone} configuration{'s' * (alone > 1)}.")
    return notes


def _pairs(together: Comparison, ours: Side, theirs: Side) -> tuple[list[tuple[str, str, str]], list[Pair], int]:
    """What tells the sides apart as such; configurations that match but for that; how many have none that matches."""
    groups = [[item for item in together.configurations if set(item.runs) & set(side.runs)] for side in (ours, theirs)]
    values = [{name: {dict(item.values).get(name, "") for item in group} for name in together.varying} for group in groups]
    fixed = [name for name in together.varying if all(len(one[name]) == 1 for one in values)]
    apart = [(name, *(min(one[name]) for one in values)) for name in fixed]
    differing = [(name, of_a, of_b) for name, of_a, of_b in apart if of_a != of_b]
    names = {name for name, _, _ in differing}

    def rest(item: Configuration) -> tuple[tuple[str, str], ...]:
        return tuple(pair for pair in item.values if pair[0] not in names)

    theirs_by_rest = {rest(item): item for item in groups[1]}
    pairs = []
    for item in groups[0]:
        like = theirs_by_rest.get(rest(item))
        if like is not None:
            label = " ".join(f"{name}={value}" for name, value in rest(item) if len({v for g in values for v in g[name]}) > 1)
            pairs.append(Pair(label or item.label, _only(item, ours), _only(like, theirs)))
    if pairs:
        return differing, pairs, len(groups[0]) + len(groups[1]) - 2 * len(pairs)
    whole = [Configuration(side.name, side.name, (), side.runs) for side in (ours, theirs)]
    ranges = [(name, *(", ".join(sorted(one[name])) for one in values)) for name in together.varying]
    return [(name, of_a, of_b) for name, of_a, of_b in ranges if of_a != of_b], [Pair("all", whole[0], whole[1])], 0


def _only(item: Configuration, side: Side) -> Configuration:
    """Of the same configuration on both sides, the runs of this one."""
    return Configuration(item.label, item.short, item.values, tuple(run for run in item.runs if run in side.runs))


def _row(pair: Pair, measure: Measure, tests: int, several: bool) -> tuple[Cell, ...] | None:
    ours, theirs = (_numbers(item, measure) for item in (pair.ours, pair.theirs))
    if not (ours.size and theirs.size):
        return None
    difference, interval, ahead, verdict = NONE, "", NONE, "too few seeds"
    if min(ours.size, theirs.size) >= MIN_SEEDS:
        found = contrast(theirs, ours)
        low, high = found.interval()
        difference, interval = rounded(found.difference, high - low), bracketed((low, high))
        ahead = f"{probability_of_improvement(theirs, ours):.0%}"
        if min(ours.size, theirs.size) >= VERDICT_SEEDS:
            low, high = found.interval(simultaneous(tests))
            verdict = f"B {measure.better}" if low > 0 else f"A {measure.better}" if high < 0 else "undecided"
    elif min(ours.size, theirs.size) > 0:
        difference = rounded(float(interquartile_mean(theirs) - interquartile_mean(ours)))
    cells = (Cell(measure.title), _verdict(verdict), Cell(plus_minus(mean(ours), std(ours))),
             Cell(plus_minus(mean(theirs), std(theirs))), Cell(f"{ours.size}, {theirs.size}"), Cell(difference, interval),
             Cell(ahead))  # fmt: skip
    return (Cell(pair.label), *cells) if several else cells


def _verdict(text: str) -> Cell:
    return Cell(text, status="clear" if text[:2] in ("A ", "B ") else "undecided")


def _numbers(item: Configuration, measure: Measure) -> FloatArray:
    """One finite number a run: of the finished ones, or of all where none is."""
    runs = [run for run in item.runs if run.status == "finished"] or list(item.runs)
    values = np.array([measure.of(run, result(run)) for run in runs], dtype=np.float64)
    return values[np.isfinite(values)]


def _lead(rows: Sequence[tuple[Cell, ...]], several: bool) -> str:
    if not rows:
        return "No run of one side has a number to hold against the other's yet."
    at = 1 if several else 0
    told = [(row[at].text, row[at + 1].text, row[0].text) for row in rows if row[at + 1].status == "clear"]
    if all(row[at + 1].text == "too few seeds" for row in rows):
        return f"Too few seeds for a verdict: it takes {VERDICT_SEEDS} finished ones on either side."
    if not told:
        return "Nothing that was measured tells A from B beyond chance."
    return "Beyond chance: " + "; ".join(
        f"{verdict} by {measure}" + (f" ({label})" if several else "") for measure, verdict, label in told
    ) + "."  # fmt: skip


def _told_apart(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
