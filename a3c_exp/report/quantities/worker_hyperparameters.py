"""What each worker had of its own: entropy coefficients and learning rates, where workers differ in them."""

from collections import defaultdict

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import mapping, number
from a3c_exp.report.run_reader import Run
from a3c_exp.report.tables import NONE, Cell, Table

_WORDS = {"entropy_coef": "entropy coefficient", "lr": "learning rate"}
_SHOWN = 60  # rows; the rest stands in each run's summary.json


def own_values(comparison: Comparison) -> Table:
    """One row for each quantity in which workers differ, and for the seeds that have the same values; a column a worker."""
    rows: dict[tuple[Configuration, str, tuple[float, ...]], list[str]] = defaultdict(list)
    for item in comparison.configurations:
        for run in item.runs:
            for name, values in _differing(run).items():
                rows[item, name, values].append(run.seed)
    most = max((len(values) for _, _, values in rows), default=0)
    columns = (comparison.title or "configuration", "seed", "what", *(f"worker {number}" for number in range(most)))
    shown = list(rows.items())[:_SHOWN]
    cells = [_row(item, name, values, seeds, most) for (item, name, values), seeds in shown]
    if len(rows) > _SHOWN:
        cells.append((Cell(f"and {len(rows) - _SHOWN} more rows: see each run's summary.json"), *[Cell("")] * (most + 2)))
    return Table("Workers", columns, 3, tuple(cells))


def _row(item: Configuration, name: str, values: tuple[float, ...], seeds: list[str], most: int) -> tuple[Cell, ...]:
    numbers = [Cell(f"{value:.3g}") for value in values] + [Cell(NONE)] * (most - len(values))
    return (Cell(item.short, configuration=item), Cell(", ".join(seeds)), Cell(_WORDS.get(name, name)), *numbers)


def _differing(run: Run) -> dict[str, tuple[float, ...]]:
    """Each quantity of the run's workers that is not the same for all."""
    said = (run.summary or {}).get("workers")
    workers = [mapping(one) for one in said] if isinstance(said, list) else []
    names = dict.fromkeys(str(name) for one in workers for name in one if name != "worker")  # that is its number
    found = {name: tuple(number(one.get(name)) for one in workers) for name in names}
    return {name: values for name, values in found.items() if len(set(values)) > 1}
