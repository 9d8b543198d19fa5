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
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.run_results import ConfigResult, RunResult, run_result
from a3c_exp.runs.tolerant_io import mapping, printable
from a3c_exp.system.number_format import (
    NO_VALUE,
    format_count,
    format_duration,
    format_interval,
    format_mean_std,
    format_number,
)


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: text, a smaller note after it, and the configuration whose color, or the status, that it shows."""

    text: str
    note: str = ""
    configuration: Configuration | None = None
    status: str = ""


@dataclass(frozen=True)
class Table:
    """Columns by name and rows of cells; the first ``num_text_columns`` columns are text, the others numbers."""

    name: str
    columns: tuple[str, ...]
    num_text_columns: int
    rows: tuple[tuple[Cell, ...], ...]


def summary_table(comparison: Comparison, results: Sequence[ConfigResult]) -> Table:
    """One row a configuration: means over its seeds."""
    columns = (
        comparison.title or "configuration", "runs", "seeds", "final moving average", "last evaluation",
        "best evaluation", "episodes", "env steps", "steps/s", "wall time", "policy lag",
    )  # fmt: skip
    return Table("Summary", columns, 2, tuple(_summary_row(item) for item in results))


def run_table(comparison: Comparison) -> Table:
    """One row a run."""
    columns = (
        "run", comparison.title or "configuration", "status", "seed", "final moving average", "last evaluation",
        "best evaluation", "episodes", "env steps", "steps/s", "wall time", "policy lag",
    )  # fmt: skip
    parent = common_parent(comparison.runs)
    rows = [_run_row(item, run, parent) for item in comparison.configurations for run in item.runs]
    return Table("Runs", columns, 3, tuple(rows))


def incomplete_runs_table(comparison: Comparison) -> Table:
    """One row a run that did not finish, or that misses something."""
    rows, parent = [], common_parent(comparison.runs)
    for run in comparison.runs:
        if run.status != "finished" or run.problems:
            done = run_result(run)
            place = f"{format_count(done.episodes)} episodes, {format_count(done.env_steps)} steps"
            cells = (
                _path_cell(run, parent),
                _status_cell(run),
                Cell(run.reason or NO_VALUE),
                Cell(place),
                Cell("; ".join(run.problems)),
            )
            rows.append(cells)
    return Table("Incomplete runs", ("run", "status", "reason", "got as far as", "missing or damaged"), 5, tuple(rows))


def common_parent(runs: Sequence[RunData]) -> Path:
    """The deepest directory that holds them all."""
    return Path(os.path.commonpath([run.path.resolve().parent for run in runs]))


def runs_csv(comparison: Comparison) -> str:
    """All runs as CSV, numbers in full and empty where unknown, the differing configuration values as columns."""
    rows = [_csv_row(comparison, item, run) for item in comparison.configurations for run in item.runs]
    return _csv_text([list(rows[0]), *(list(row.values()) for row in rows)])


def summary_csv(comparison: Comparison, results: Sequence[ConfigResult]) -> str:
    """The summary as CSV, numbers in full: mean and standard deviation over seeds, the interval where there is one."""
    measures = {"moving_average": _moving_average, "evaluation": _evaluation_mean, "best_evaluation": _best_evaluation_mean}
    counts = ("episodes", "env_steps", "updates", "steps_per_second", "wall_time", "policy_lag")
    rows = []
    for item in results:
        values = dict(item.configuration.values)
        row: dict[str, object] = {"configuration": item.configuration.label, "runs": len(item.configuration.runs)}
        row |= {
            "seeds": item.configuration.num_seeds,
            "statuses": format_statuses(item.statuses),
            "counted": len(item.averaged_runs),
        }
        for name, of in measures.items():
            row |= {f"{name}_mean": item.mean(of), f"{name}_std": item.std(of)}
        row |= {"evaluation_low": item.interval[0], "evaluation_high": item.interval[1], "interval_over": item.interval_over}
        row |= {name: item.mean(attrgetter(name)) for name in counts}
        row |= {f"config.{name}": values.get(name, "") for name in comparison.varying_keys}
        rows.append({name: _csv_value(value) for name, value in row.items()})
    return _csv_text([list(rows[0]), *(list(row.values()) for row in rows)])


def table_csv(table: Table) -> str:
    """Any table as CSV, as it stands on the page: rounded, notes in columns of their own, plain signs."""
    noted = [any(row[index].note for row in table.rows) for index in range(len(table.columns))]
    names = zip(table.columns, noted, strict=True)
    head = [text for name, extra in names for text in ([name, f"{name}: note"] if extra else [name])]
    rows = [
        [text for cell, extra in zip(row, noted, strict=True) for text in ([cell.text, cell.note] if extra else [cell.text])]
        for row in table.rows
    ]
    signs = [["" if text == NO_VALUE else printable(text) for text in row] for row in rows]
    return _csv_text([head, *signs])


def summary_text(comparison: Comparison, results: Sequence[ConfigResult]) -> str:
    """The summary for a terminal: the columns that fit, aligned, signs that any terminal can show."""
    table = summary_table(comparison, results)
    chosen = [0, 1, 2, 3, 4, 8]
    lines = [[table.columns[index] for index in chosen]]
    lines += [[f"{row[index].text} {row[index].note}".strip() for index in chosen] for row in table.rows]
    lines = [[printable(text) for text in line] for line in lines]
    widths = [max(len(line[index]) for line in lines) for index in range(len(chosen))]

    def aligned(line: list[str]) -> str:
        cells = zip(line, widths, strict=True)
        return "  ".join(t.ljust(w) if i < table.num_text_columns else t.rjust(w) for i, (t, w) in enumerate(cells)).rstrip()

    return "\n".join(map(aligned, lines))


def format_statuses(statuses: Mapping[str, int]) -> str:
    """``3 finished, 1 failed``."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())


def _summary_row(result: ConfigResult) -> tuple[Cell, ...]:
    runs = format_statuses(result.statuses)
    left_out = len(result.configuration.runs) - len(result.averaged_runs)
    low, high = result.interval
    note = format_interval(result.interval) + (" over episodes" if result.interval_over == "episodes" else "")
    return (
        Cell(result.configuration.short_label, configuration=result.configuration),
        Cell(runs, f"(means over {len(result.averaged_runs)})" if left_out and result.averaged_runs else ""),
        Cell(str(result.configuration.num_seeds)),
        Cell(format_mean_std(result.mean(_moving_average), result.std(_moving_average))),
        Cell(format_number(result.mean(_evaluation_mean), high - low), note),
        Cell(format_mean_std(result.mean(_best_evaluation_mean), result.std(_best_evaluation_mean))),
        Cell(format_count(result.mean(lambda one: one.episodes))),
        Cell(format_count(result.mean(lambda one: one.env_steps))),
        Cell(format_count(result.mean(lambda one: one.steps_per_second))),
        Cell(format_duration(result.mean(lambda one: one.wall_time))),
        Cell(format_number(result.mean(lambda one: one.policy_lag), 1.0)),
    )


def _run_row(configuration: Configuration, run: RunData, parent: Path) -> tuple[Cell, ...]:
    done = run_result(run)
    last, best = done.evaluation, done.best_evaluation
    return (
        _path_cell(run, parent),
        Cell(configuration.short_label, configuration=configuration),
        _status_cell(run),
        Cell(run.seed),
        Cell(format_number(done.moving_average)),
        Cell(format_number(last.mean, last.high - last.low), format_interval((last.low, last.high))),
        Cell(format_number(best.mean, best.high - best.low), f"at {format_count(best.env_step)}" if best.env_step >= 0 else ""),
        Cell(format_count(done.episodes)),
        Cell(format_count(done.env_steps)),
        Cell(format_count(done.steps_per_second)),
        Cell(format_duration(done.wall_time)),
        Cell(
            format_number(done.policy_lag, 1.0), f"max {format_count(done.policy_lag_max)}" if done.policy_lag_max >= 0 else ""
        ),
    )


def _csv_row(comparison: Comparison, configuration: Configuration, run: RunData) -> dict[str, str]:
    done, values = run_result(run), dict(configuration.values)
    git, versions = mapping(run.run_json.get("git")), mapping(run.run_json.get("versions"))
    row: dict[str, object] = {
        "path": run.path,
        "name": run.name,
        "group": run.group,
        "configuration": configuration.label,
    }
    row |= {"seed": run.seed, "status": run.status, "reason": run.reason}
    row |= {name: getattr(done, name) for name in ("episodes", "env_steps", "updates", "moving_average")}
    for name, evaluation in (("evaluation", done.evaluation), ("best_evaluation", done.best_evaluation)):
        row |= {f"{name}_{key}": getattr(evaluation, key) for key in ("mean", "low", "high", "env_step")}
    row |= {name: getattr(done, name) for name in ("steps_per_second", "wall_time", "policy_lag", "policy_lag_max")}
    row |= {"commit": git.get("commit", ""), "dirty": git.get("dirty", ""), "host": run.run_json.get("host", "")}
    row |= {"python": versions.get("python", ""), "torch": versions.get("torch", "")}
    row |= {"command": run.run_json.get("command", ""), "problems": "; ".join(run.problems)}
    row |= {f"config.{name}": values.get(name, "") for name in comparison.varying_keys}
    return {name: _csv_value(value) for name, value in row.items()}


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue()


def _csv_value(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return printable(str(value))


def _path_cell(run: RunData, parent: Path) -> Cell:
    """The directory as seen from the ``parent`` of all, which the report names once."""
    path = Path(os.path.relpath(run.path.resolve(), parent))
    return Cell(path.name if path == Path() else str(path))


def _status_cell(run: RunData) -> Cell:
    return Cell(run.status, status=run.status)


def _moving_average(result: RunResult) -> float:
    return result.moving_average


def _evaluation_mean(result: RunResult) -> float:
    return result.evaluation.mean


def _best_evaluation_mean(result: RunResult) -> float:
    return result.best_evaluation.mean
