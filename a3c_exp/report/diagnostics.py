"""One row a configuration: how stale, how curious, how sure of itself it was in the end."""

import math
from collections.abc import Sequence

import numpy as np

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.columns import Columns, FloatArray
from a3c_exp.report.run_reader import Run
from a3c_exp.report.run_results import Outcome
from a3c_exp.report.tables import NONE, Cell, Table
from a3c_exp.system.number_format import count, rounded

_END = 0.1  # the share of a run that its end is

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


def diagnostics_table(comparison: Comparison, outcomes: Sequence[Outcome]) -> Table:
    """Means over a configuration's counted runs of each run's last tenth; columns that no run can fill are left out."""
    title = comparison.title or "configuration"
    rows = [[_mean(item.counted, quantity, when) for _, quantity, when in _COLUMNS] for item in outcomes]
    shown = [i for i in range(len(_COLUMNS)) if any(math.isfinite(row[i]) for row in rows)]
    names = (title, "policy lag", "largest", *(_COLUMNS[i][0] for i in shown))
    lags = [(item.mean(lambda one: one.policy_lag), _largest(item)) for item in outcomes]
    cells = [
        (
            Cell(item.configuration.short, configuration=item.configuration),
            Cell(rounded(lag, 1.0)),
            Cell(count(most)),
            *(Cell(_written(_COLUMNS[i][1], row[i])) for i in shown),
        )
        for item, row, (lag, most) in zip(outcomes, rows, lags, strict=True)
    ]
    return Table("Diagnostics", names, 1, tuple(cells))


def _mean(runs: Sequence[Run], quantity: str, when: str) -> float:
    values = [value for run in runs if math.isfinite(value := _of(run, quantity, when))]
    return float(np.mean(values)) if values else math.nan


def _of(run: Run, quantity: str, when: str) -> float:
    """The quantity at one end of a run: the mean of its first line's or its last tenth's."""
    columns: Columns = run.evaluations if quantity == "sampling.gap" else run.metrics
    values = _clipped(columns) if quantity == "clipped" else columns[quantity]
    known = np.isfinite(values) & np.isfinite(columns["env_step"])
    values, steps = values[known], columns["env_step"][known]
    if not values.size:
        return math.nan
    return float(values[0] if when == "start" else values[steps >= (1.0 - _END) * steps.max()].mean())


def _clipped(metrics: Columns) -> FloatArray:
    """The share by which clipping shortens gradients, in the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - metrics["grad_norm_clipped"] / metrics["grad_norm"])


def _largest(item: Outcome) -> float:
    return max((one.policy_lag_max for one in item.results if math.isfinite(one.policy_lag_max)), default=math.nan)


def _written(quantity: str, value: float) -> str:
    if quantity in ("clipped", "truncated_share"):
        return f"{value:.0%}" if math.isfinite(value) else NONE
    return rounded(value, 0.1 if abs(value) < 100 else 1.0)
