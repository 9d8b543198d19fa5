"""What each worker had of its own: entropy coefficients and learning rates, where workers differ in them."""

from collections import defaultdict

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.tables import Cell, Table
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.system.number_format import NO_VALUE

_QUANTITY_LABELS = {"entropy_coef": "entropy coefficient", "lr": "learning rate"}
_MAX_ROWS = 60  # rows; the rest stands in each run's summary.json


def worker_hyperparameter_table(comparison: Comparison) -> Table:
    """One row for each quantity in which workers differ, and for the seeds that have the same values; a column a worker."""
    rows: dict[tuple[Configuration, str, tuple[float, ...]], list[str]] = defaultdict(list)
    for item in comparison.configurations:
        for run in item.runs:
            for name, values in _differing_quantities(run).items():
                rows[item, name, values].append(run.seed)
    most = max((len(values) for _, _, values in rows), default=0)
    columns = (comparison.title or "configuration", "seed", "what", *(f"worker {number}" for number in range(most)))
    shown = list(rows.items())[:_MAX_ROWS]
    cells = [_row(item, name, values, seeds, most) for (item, name, values), seeds in shown]
    if len(rows) > _MAX_ROWS:
        cells.append((Cell(f"and {len(rows) - _MAX_ROWS} more rows: see each run's summary.json"), *[Cell("")] * (most + 2)))
    return Table("Workers", columns, 3, tuple(cells))


def _row(
    configuration: Configuration, name: str, values: tuple[float, ...], seeds: list[str], num_workers: int
) -> tuple[Cell, ...]:
    numbers = [Cell(f"{value:.3g}") for value in values] + [Cell(NO_VALUE)] * (num_workers - len(values))
    return (
        Cell(configuration.short_label, configuration=configuration),
        Cell(", ".join(seeds)),
        Cell(_QUANTITY_LABELS.get(name, name)),
        *numbers,
    )


def _differing_quantities(run: RunData) -> dict[str, tuple[float, ...]]:
    """Each quantity of the run's workers that is not the same for all."""
    said = run.summary_json.get("workers")
    workers = [mapping(one) for one in said] if isinstance(said, list) else []
    names = dict.fromkeys(str(name) for one in workers for name in one if name != "worker")  # that is its number
    found = {name: tuple(number(one.get(name)) for one in workers) for name in names}
    return {name: values for name, values in found.items() if len(set(values)) > 1}
