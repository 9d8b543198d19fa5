"""The tables of a report as cells of text, and the same numbers as CSV. How they look on a page is in ``page``."""

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import mapping, printable
from a3c_exp.report.run_reader import Run
from a3c_exp.report.run_results import Outcome, Result, result
from a3c_exp.system.number_format import MINUS, NONE, bracketed, count, duration, plus_minus, rounded

__all__ = [
    "MINUS", "NONE", "Cell", "Table", "as_text", "bracketed", "common_parent", "count", "duration", "plus_minus", "rounded",
    "run_table", "runs_csv", "statuses_in_words", "summary_csv", "summary_table", "table_csv", "trouble_table",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: text, a smaller note after it, and whose colour or status it shows."""

    text: str
    note: str = ""
    configuration: Configuration | None = None
    status: str = ""


@dataclass(frozen=True)
class Table:
    """Columns by name and rows of cells; the first ``words`` columns are text, the others numbers."""

    name: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[tuple[Cell, ...], ...]


def summary_table(comparison: Comparison, outcomes: Sequence[Outcome]) -> Table:
    """One row a configuration: means over its seeds."""
    columns = (
        comparison.title or "configuration", "runs", "seeds", "final moving average", "last evaluation",
        "best evaluation", "episodes", "env steps", "steps/s", "wall time", "policy lag",
    )  # fmt: skip
    return Table("Summary", columns, 2, tuple(_summary_row(item) for item in outcomes))


def run_table(comparison: Comparison) -> Table:
    """One row a run."""
    columns = (
        "run", comparison.title or "configuration", "status", "seed", "final moving average", "last evaluation",
        "best evaluation", "episodes", "env steps", "steps/s", "wall time", "policy lag",
    )  # fmt: skip
    parent = common_parent(comparison.runs)
    rows = [_run_row(item, run, parent) for item in comparison.configurations for run in item.runs]
    return Table("Runs", columns, 3, tuple(rows))


def trouble_table(comparison: Comparison) -> Table:
    """One row a run that did not finish, or that misses something."""
    rows, parent = [], common_parent(comparison.runs)
    for run in comparison.runs:
        if run.status != "finished" or run.problems:
            done = result(run)
            place = f"{count(done.episodes)} episodes, {count(done.env_steps)} steps"
            cells = (
                _path(run, parent),
                _status(run),
                Cell(run.reason or NONE),
                Cell(place),
                Cell("; ".join(run.problems)),
            )
            rows.append(cells)
    return Table("Troubles", ("run", "status", "reason", "got as far as", "missing or damaged"), 5, tuple(rows))


def common_parent(runs: Sequence[Run]) -> Path:
    """The deepest directory that holds them all."""
    return Path(os.path.commonpath([run.path.resolve().parent for run in runs]))


def runs_csv(comparison: Comparison) -> str:
    """All runs as CSV, numbers in full and empty where unknown, the differing configuration values as columns."""
    rows = [_csv_row(comparison, item, run) for item in comparison.configurations for run in item.runs]
    return _csv([list(rows[0]), *(list(row.values()) for row in rows)])


def summary_csv(comparison: Comparison, outcomes: Sequence[Outcome]) -> str:
    """The summary as CSV, numbers in full: mean and standard deviation over seeds, the interval where there is one."""
    measures = {"moving_average": _moving_average, "evaluation": _evaluation, "best_evaluation": _best}
    counts = ("episodes", "env_steps", "updates", "steps_per_second", "wall_time", "policy_lag")
    rows = []
    for item in outcomes:
        values = dict(item.configuration.values)
        row: dict[str, object] = {"configuration": item.configuration.label, "runs": len(item.configuration.runs)}
        row |= {"seeds": item.configuration.seeds, "statuses": statuses_in_words(item.statuses), "counted": len(item.counted)}
        for name, of in measures.items():
            row |= {f"{name}_mean": item.mean(of), f"{name}_std": item.std(of)}
        row |= {"evaluation_low": item.interval[0], "evaluation_high": item.interval[1], "interval_over": item.interval_over}
        row |= {name: item.mean(attrgetter(name)) for name in counts}
        row |= {f"config.{name}": values.get(name, "") for name in comparison.varying}
        rows.append({name: _plain(value) for name, value in row.items()})
    return _csv([list(rows[0]), *(list(row.values()) for row in rows)])


def table_csv(table: Table) -> str:
    """Any table as CSV, as it stands on the page: rounded, notes in columns of their own, plain signs."""
    noted = [any(row[index].note for row in table.rows) for index in range(len(table.columns))]
    names = zip(table.columns, noted, strict=True)
    head = [text for name, extra in names for text in ([name, f"{name}: note"] if extra else [name])]
    rows = [
        [text for cell, extra in zip(row, noted, strict=True) for text in ([cell.text, cell.note] if extra else [cell.text])]
        for row in table.rows
    ]
    signs = [["" if text == NONE else printable(text).replace(MINUS, "-") for text in row] for row in rows]
    return _csv([head, *signs])


def as_text(comparison: Comparison, outcomes: Sequence[Outcome]) -> str:
    """The summary for a terminal: the columns that fit, aligned, signs that any terminal can show."""
    table = summary_table(comparison, outcomes)
    chosen = [0, 1, 2, 3, 4, 8]
    lines = [[table.columns[index] for index in chosen]]
    lines += [[f"{row[index].text} {row[index].note}".strip() for index in chosen] for row in table.rows]
    lines = [[printable(text).replace(MINUS, "-").replace(NONE, "-") for text in line] for line in lines]
    widths = [max(len(line[index]) for line in lines) for index in range(len(chosen))]

    def aligned(line: list[str]) -> str:
        cells = zip(line, widths, strict=True)
        return "  ".join(t.ljust(w) if i < table.words else t.rjust(w) for i, (t, w) in enumerate(cells)).rstrip()

    return "\n".join(map(aligned, lines))


def statuses_in_words(statuses: Mapping[str, int]) -> str:
    """``3 finished, 1 failed``."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())


def _summary_row(item: Outcome) -> tuple[Cell, ...]:
    runs = statuses_in_words(item.statuses)
    left_out = len(item.configuration.runs) - len(item.counted)
    low, high = item.interval
    note = bracketed(item.interval) + (" over episodes" if item.interval_over == "episodes" else "")
    return (
        Cell(item.configuration.short, configuration=item.configuration),
        Cell(runs, f"(means over {len(item.counted)})" if left_out and item.counted else ""),
        Cell(str(item.configuration.seeds)),
        Cell(plus_minus(item.mean(_moving_average), item.std(_moving_average))),
        Cell(rounded(item.mean(_evaluation), high - low), note),
        Cell(plus_minus(item.mean(_best), item.std(_best))),
        Cell(count(item.mean(lambda one: one.episodes))),
        Cell(count(item.mean(lambda one: one.env_steps))),
        Cell(count(item.mean(lambda one: one.steps_per_second))),
        Cell(duration(item.mean(lambda one: one.wall_time))),
        Cell(rounded(item.mean(lambda one: one.policy_lag), 1.0)),
    )


def _run_row(item: Configuration, run: Run, parent: Path) -> tuple[Cell, ...]:
    done = result(run)
    last, best = done.evaluation, done.best
    return (
        _path(run, parent),
        Cell(item.short, configuration=item),
        _status(run),
        Cell(run.seed),
        Cell(rounded(done.moving_average)),
        Cell(rounded(last.mean, last.high - last.low), bracketed((last.low, last.high))),
        Cell(rounded(best.mean, best.high - best.low), f"at {count(best.env_step)}" if best.env_step >= 0 else ""),
        Cell(count(done.episodes)),
        Cell(count(done.env_steps)),
        Cell(count(done.steps_per_second)),
        Cell(duration(done.wall_time)),
        Cell(rounded(done.policy_lag, 1.0), f"max {count(done.policy_lag_max)}" if done.policy_lag_max >= 0 else ""),
    )


def _csv_row(comparison: Comparison, item: Configuration, run: Run) -> dict[str, str]:
    done, values = result(run), dict(item.values)
    git, versions = mapping(run.run_json.get("git")), mapping(run.run_json.get("versions"))
    row: dict[str, object] = {"path": run.path, "name": run.name, "group": run.group or "", "configuration": item.label}
    row |= {"seed": run.seed, "status": run.status, "reason": run.reason}
    row |= {name: getattr(done, name) for name in ("episodes", "env_steps", "updates", "moving_average")}
    for name, evaluation in (("evaluation", done.evaluation), ("best_evaluation", done.best)):
        row |= {f"{name}_{key}": getattr(evaluation, key) for key in ("mean", "low", "high", "env_step")}
    row |= {name: getattr(done, name) for name in ("steps_per_second", "wall_time", "policy_lag", "policy_lag_max")}
    row |= {"commit": git.get("commit", ""), "dirty": git.get("dirty", ""), "host": run.run_json.get("host", "")}
    row |= {"python": versions.get("python", ""), "torch": versions.get("torch", "")}
    row |= {"command": run.run_json.get("command", ""), "problems": "; ".join(run.problems)}
    row |= {f"config.{name}": values.get(name, "") for name in comparison.varying}
    return {name: _plain(value) for name, value in row.items()}


def _csv(rows: Iterable[Sequence[str]]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue()


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return printable(str(value))


def _path(run: Run, parent: Path) -> Cell:
    """The directory as seen from the ``parent`` of all, which the report names once."""
    path = Path(os.path.relpath(run.path.resolve(), parent))
    return Cell(path.name if path == Path() else str(path))


def _status(run: Run) -> Cell:
    return Cell(run.status, status=run.status)


def _moving_average(one: Result) -> float:
    return one.moving_average


def _evaluation(one: Result) -> float:
    return one.evaluation.mean


def _best(one: Result) -> float:
    return one.best.mean
