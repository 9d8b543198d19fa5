"""One row a configuration: how stale, how curious, how sure of itself it was in the end."""

import math
from collections.abc import Sequence

import numpy as np

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.columns import Columns, FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.run_results import ConfigResult
from a3c_exp.report.tables import Cell, Table
from a3c_exp.system.number_format import NO_VALUE, format_count, format_number

_FINAL_SHARE = 0.1  # the share of a run that its end is

_COLUMNS = (
    ("entropy at first", "entropy", "start"),
    ("entropy in the end", "entropy", "end"),
    ("largest probability", "max_probability", "end"),
    ("explained variance", "explained_variance", "end"),
    ("value less earned", "value.excess", "end"),
    ("evaluation less training", "sampling.gap", "end"),
    ("gradients cut", "clipped", "end"),
    ("windows cut by a limit", "truncated_share", "end"),
)


def diagnostics_table(comparison: Comparison, results: Sequence[ConfigResult]) -> Table:
    """Means over a configuration's counted runs of each run's last tenth; columns that no run can fill are left out."""
    title = comparison.title or "configuration"
    rows = [[_mean_over_runs(item.averaged_runs, quantity, when) for _, quantity, when in _COLUMNS] for item in results]
    shown = [i for i in range(len(_COLUMNS)) if any(math.isfinite(row[i]) for row in rows)]
    names = (title, "policy lag", "largest", *(_COLUMNS[i][0] for i in shown))
    lags = [(item.mean(lambda one: one.policy_lag), _max_policy_lag(item)) for item in results]
    cells = [
        (
            Cell(item.configuration.short_label, configuration=item.configuration),
            Cell(format_number(lag, 1.0)),
            Cell(format_count(most)),
            *(Cell(_format_quantity(_COLUMNS[i][1], row[i])) for i in shown),
        )
        for item, row, (lag, most) in zip(results, rows, lags, strict=True)
    ]
    return Table("Diagnostics", names, 1, tuple(cells))


def _mean_over_runs(runs: Sequence[RunData], quantity: str, when: str) -> float:
    values = [value for run in runs if math.isfinite(value := _quantity_at(run, quantity, when))]
    return float(np.mean(values)) if values else math.nan


def _quantity_at(run: RunData, quantity: str, when: str) -> float:
    """The quantity at one end of a run: the mean of its first line's or its last tenth's."""
    columns: Columns = run.evaluations if quantity == "sampling.gap" else run.metrics
    values = _clipped_share(columns) if quantity == "clipped" else columns[quantity]
    known = np.isfinite(values) & np.isfinite(columns["env_step"])
    values, steps = values[known], columns["env_step"][known]
    if not values.size:
        return math.nan
    return float(values[0] if when == "start" else values[steps >= (1.0 - _FINAL_SHARE) * steps.max()].mean())


def _clipped_share(metrics: Columns) -> FloatArray:
    """The share by which clipping shortens gradients, in the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - metrics["grad_norm_clipped"] / metrics["grad_norm"])


def _max_policy_lag(result: ConfigResult) -> float:
    return max((one.policy_lag_max for one in result.run_results if math.isfinite(one.policy_lag_max)), default=math.nan)


def _format_quantity(quantity: str, value: float) -> str:
    if quantity in ("clipped", "truncated_share"):
        return f"{value:.0%}" if math.isfinite(value) else NO_VALUE
    return format_number(value, 0.1 if abs(value) < 100 else 1.0)
