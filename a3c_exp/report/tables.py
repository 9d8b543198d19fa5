"""The tables of every report, and the same numbers as CSV. How they look on a page is in ``templates``."""

import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import Columns
from a3c_exp.report.curves import FINAL_SHARE
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.sections import Cell, Description, Table, format_statuses, interval_cell, lag_cell, make_row, make_table
from a3c_exp.runs.format_table import Column, Terminal, TextCell, format_table
from a3c_exp.runs.listing import csv_text, csv_value
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import mean
from a3c_exp.system.number_format import NO_VALUE, format_count, format_duration, format_mean_std, format_number

_DIAGNOSTICS = (  # heading, quantity, and whether it is taken at the start of a run or at its end
    ("entropy at first", "entropy", "start"),
    ("entropy in the end", "entropy", "end"),
    ("largest probability", "max_probability", "end"),
    ("explained variance", "explained_variance", "end"),
    ("value less earned", "value.excess", "end"),
    ("evaluation less training", "sampling.gap", "end"),
    ("gradients cut", "clipped", "end"),
    ("windows cut by a limit", "truncated_share", "end"),
)
_WORKER_QUANTITIES = {"entropy_coef": "entropy coefficient", "lr": "learning rate"}
_MAX_WORKER_ROWS = 60  # the rest stands in each run's summary.json


def summary_table(comparison: Comparison) -> Table:
    """One row a configuration: means over its seeds."""
    columns: list[tuple[str, Description[Configuration]]] = [
        (comparison.heading, configuration_cell),
        ("runs", _statuses_cell),
        ("seeds", lambda item: str(item.num_seeds)),
        ("final moving average", lambda item: format_mean_std(item.mean("moving_average"), item.std("moving_average"))),
        ("last evaluation", lambda item: interval_cell(item.mean("evaluation"), *item.interval)),
        ("best evaluation", lambda item: format_mean_std(item.mean("best"), item.std("best"))),
        *_count_columns(Configuration.mean),
        ("policy lag", lambda item: format_number(item.mean("policy_lag"), 1.0)),
    ]
    return make_table("Summary", 2, comparison.configurations, columns)


def run_table(comparison: Comparison) -> Table:
    """One row a run."""
    configurations = {run: item for item in comparison.configurations for run in item.runs}
    columns: list[tuple[str, Description[RunData]]] = [
        ("run", lambda run: _relative_path(run, comparison)),
        (comparison.heading, lambda run: configuration_cell(configurations[run])),
        ("status", lambda run: Cell(run.status, status=run.status)),
        ("seed", lambda run: run.seed),
        ("final moving average", lambda run: format_number(run.result("moving_average"))),
        ("last evaluation", lambda run: interval_cell(run.result("evaluation"), run.interval("evaluation"))),
        ("best evaluation", _best_evaluation_cell),
        *_count_columns(RunData.result),
        ("policy lag", lambda run: lag_cell(run.result("policy_lag"), run.result("policy_lag_max"))),
    ]
    return make_table("Runs", 3, comparison.runs, columns)


def incomplete_runs_table(comparison: Comparison) -> Table:
    """One row a run that did not finish, or that misses something."""
    columns: list[tuple[str, Description[RunData]]] = [
        ("run", lambda run: _relative_path(run, comparison)),
        ("status", lambda run: Cell(run.status, status=run.status)),
        ("reason", lambda run: run.reason or NO_VALUE),
        (
            "got as far as",
            lambda run: f"{format_count(run.result('episodes'))} episodes, {format_count(run.result('env_steps'))} steps",
        ),
        ("missing or damaged", lambda run: "; ".join(run.problems)),
    ]
    incomplete = [run for run in comparison.runs if run.status != "finished" or run.problems]
    return make_table("Incomplete runs", 5, incomplete, columns)


def diagnostics_table(comparison: Comparison) -> Table:
    """What each configuration was in the end: means over its averaged runs' last tenths; no columns without a number."""
    columns: list[tuple[str, Description[Configuration]]] = [
        (comparison.heading, configuration_cell),
        ("policy lag", lambda item: format_number(item.mean("policy_lag"), 1.0)),
        ("largest", lambda item: format_count(max(item.results("policy_lag_max"), default=math.nan))),
    ]
    for heading, quantity, when in _DIAGNOSTICS:
        texts = {}
        for item in comparison.configurations:
            values = [_quantity_at(run, quantity, when) for run in item.averaged_runs]
            texts[item] = _format_quantity(quantity, mean([value for value in values if math.isfinite(value)]))
        if {*texts.values()} != {NO_VALUE}:
            columns.append((heading, texts.__getitem__))
    return make_table("Diagnostics", 1, comparison.configurations, columns)


def worker_hyperparameter_table(comparison: Comparison) -> Table:
    """What each worker had of its own: a row for each quantity in which workers differ and the seeds with the same values."""
    found: dict[tuple[Configuration, str, tuple[float, ...]], list[str]] = defaultdict(list)
    for item in comparison.configurations:
        for run in item.runs:
            for name, values in _differing_quantities(run).items():
                found[item, name, values].append(run.seed)
    most = max((len(values) for _, _, values in found), default=0)
    rows = []
    for (item, name, values), seeds in list(found.items())[:_MAX_WORKER_ROWS]:
        texts = [f"{value:.3g}" for value in values] + [NO_VALUE] * (most - len(values))
        rows.append(make_row(configuration_cell(item), ", ".join(seeds), _WORKER_QUANTITIES.get(name, name), *texts))
    if (more := len(found) - len(rows)) > 0:
        rows.append(make_row(f"and {more} more rows: see each run's summary.json", *[""] * (most + 2)))
    columns = (comparison.heading, "seed", "what", *(f"worker {index}" for index in range(most)))
    return Table("Workers", columns, 3, tuple(rows))


def runs_csv(comparison: Comparison) -> str:
    """All runs as CSV, numbers in full and empty where unknown, the differing configuration values as columns."""
    return _records_csv([_run_record(comparison, item, run) for item in comparison.configurations for run in item.runs])


def summary_csv(comparison: Comparison) -> str:
    """The summary as CSV, numbers in full: mean and standard deviation over seeds, the interval where there is one."""
    averages = {"moving_average": "moving_average", "evaluation": "evaluation", "best_evaluation": "best"}
    rows = []
    for item in comparison.configurations:
        row: dict[str, object] = {"configuration": item.label, "runs": len(item.runs), "seeds": item.num_seeds}
        row |= {"statuses": format_statuses(item.statuses), "counted": len(item.averaged_runs)}
        for name, key in averages.items():
            row |= {f"{name}_mean": item.mean(key), f"{name}_std": item.std(key)}
        (low, high), over = item.interval
        row |= {"evaluation_low": low, "evaluation_high": high, "interval_over": over}
        counts = ("episodes", "env_steps", "updates", "steps_per_second", "wall_time", "policy_lag")
        rows.append(row | {key: item.mean(key) for key in counts} | _varying_values(comparison, item))
    return _records_csv(rows)


def summary_text(comparison: Comparison) -> str:
    """The summary for a terminal: the columns that fit, aligned, signs that any terminal can show."""
    table, chosen = summary_table(comparison), (0, 1, 2, 3, 4, 8)
    columns = [Column(table.columns[index], index >= table.num_text_columns) for index in chosen]
    rows = [[TextCell(f"{row[index].text} {row[index].note}".strip()) for index in chosen] for row in table.rows]
    return format_table(columns, rows, Terminal())


def configuration_cell(item: Configuration) -> Cell:
    """Its label and its color."""
    return Cell(item.short_label, configuration=item)


def _count_columns(value: Callable[[Any, str], float]) -> list[tuple[str, Description[Any]]]:
    """What is written of a run and of the mean over several in the same way."""
    return [
        ("episodes", lambda item: format_count(value(item, "episodes"))),
        ("env steps", lambda item: format_count(value(item, "env_steps"))),
        ("steps/s", lambda item: format_count(value(item, "steps_per_second"))),
        ("wall time", lambda item: format_duration(value(item, "wall_time"))),
    ]


def _statuses_cell(item: Configuration) -> Cell:
    averaged = len(item.averaged_runs)
    return Cell(format_statuses(item.statuses), f"(means over {averaged})" if 0 < averaged < len(item.runs) else "")


def _relative_path(run: RunData, comparison: Comparison) -> str:
    """The directory as seen from the parent of all, which the report names once."""
    path = Path(os.path.relpath(run.path.resolve(), comparison.parent))
    return path.name if path == Path() else str(path)


def _best_evaluation_cell(run: RunData) -> Cell:
    (low, high), step = run.interval("best"), run.result("best_step")
    return Cell(format_number(run.result("best"), high - low), f"at {format_count(step)}" if step >= 0 else "")


def _quantity_at(run: RunData, quantity: str, when: str) -> float:
    """The quantity at one end of a run: the mean of its first line's or its last tenth's."""
    columns: Columns = run.evaluations if quantity == "sampling.gap" else run.metrics
    if quantity == "clipped":  # the share by which clipping shortens gradients, in the mean
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.asarray(1.0 - columns["grad_norm_clipped"] / columns["grad_norm"])
    else:
        values = columns[quantity]
    known = np.isfinite(values) & np.isfinite(columns["env_step"])
    values, steps = values[known], columns["env_step"][known]
    if not values.size:
        return math.nan
    return float(values[0] if when == "start" else values[steps >= (1.0 - FINAL_SHARE) * steps.max()].mean())


def _format_quantity(quantity: str, value: float) -> str:
    if quantity in ("clipped", "truncated_share"):
        return f"{value:.0%}" if math.isfinite(value) else NO_VALUE
    return format_number(value, 0.1 if abs(value) < 100 else 1.0)


def _differing_quantities(run: RunData) -> dict[str, tuple[float, ...]]:
    said = run.summary_json.get("workers")
    workers = [mapping(one) for one in said] if isinstance(said, list) else []
    names = dict.fromkeys(str(name) for one in workers for name in one if name != "worker")  # that is its number
    found = {name: tuple(number(one.get(name)) for one in workers) for name in names}
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _run_record(comparison: Comparison, configuration: Configuration, run: RunData) -> dict[str, object]:
    git, versions = mapping(run.run_json.get("git")), mapping(run.run_json.get("versions"))
    record: dict[str, object] = {"path": run.path, "name": run.name, "group": run.group, "configuration": configuration.label}
    record |= {"seed": run.seed, "status": run.status, "reason": run.reason}
    record |= {key: run.result(key) for key in ("episodes", "env_steps", "updates", "moving_average")}
    for name, key in (("evaluation", "evaluation"), ("best_evaluation", "best")):
        record[f"{name}_mean"] = run.result(key)
        record |= {f"{name}_{part}": run.result(f"{key}_{part}") for part in ("low", "high")}
        record[f"{name}_env_step"] = run.result(f"{key}_step")
    record |= {key: run.result(key) for key in ("steps_per_second", "wall_time", "policy_lag", "policy_lag_max")}
    record |= {"commit": git.get("commit"), "dirty": str(git.get("dirty", "")), "host": run.run_json.get("host")}
    record |= {"python": versions.get("python"), "torch": versions.get("torch")}
    record |= {"command": run.run_json.get("command"), "problems": "; ".join(run.problems)}
    return record | _varying_values(comparison, configuration)


def _varying_values(comparison: Comparison, configuration: Configuration) -> dict[str, str]:
    values = dict(configuration.values)
    return {f"config.{name}": values.get(name, "") for name in comparison.varying_keys}


def _records_csv(records: Sequence[Mapping[str, object]]) -> str:
    return csv_text([list(records[0]), *(list(map(csv_value, record.values())) for record in records)]) + "\n"
