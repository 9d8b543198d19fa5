"""From series of numbers to a table: medians, pairwise ratios, verdicts; as text, as Markdown, as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from a3c_exp.system.number_format import format_number
from benchmarks.harness.interleaved import Requirement, VariantResult


@dataclass(frozen=True)
class Row:
    """One variant. ``ratios`` are its values over the baseline's of the same repeat, ``ratio`` is the median of those.

    ``verdict`` is ``met``, ``NOT met``, ``failed`` or, without a requirement, empty.
    """

    name: str
    values: tuple[float, ...]
    median: float | None
    ratios: tuple[float, ...]
    ratio: float | None
    required: str
    verdict: str
    failure: str | None


@dataclass(frozen=True)
class Table:
    """A benchmark's result, with all that is needed to interpret it and to measure it again."""

    benchmark: str
    title: str
    unit: str
    baseline: str | None
    repeats: int
    seconds: float
    command: str
    environment: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Everything was measured and every requirement met."""
        return all(row.verdict in ("met", "") for row in self.rows)


def make_rows(results: Sequence[VariantResult], unit: str, baseline: str | None) -> tuple[Row, ...]:
    """Rows in the order of the results; ratios where the baseline has a value of the same repeat."""
    base = next((result.values for result in results if result.name == baseline), [])
    return tuple(_row(result, unit, [] if result.name == baseline else base) for result in results)


def pairwise_ratios(values: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    """``values[i] / base[i]``, for as many repeats as both have.

    >>> pairwise_ratios([10.0, 30.0], [2.0, 3.0, 4.0])
    (5.0, 10.0)
    """
    return tuple(value / other for value, other in zip(values, base, strict=False))


def _row(result: VariantResult, unit: str, base: Sequence[float]) -> Row:
    ratios = pairwise_ratios(result.values, base)
    value = median(result.values) if result.values else None
    ratio = median(ratios) if ratios else None
    verdict, required = "", ""
    if result.requirement is not None:
        required = _format_requirement(result.requirement, unit)
        number = value if result.requirement.quantity == "value" else ratio
        # Without the baseline, a requirement on a ratio has failed.
        verdict = "failed" if number is None else "met" if result.requirement.is_met(number) else "NOT met"
    if result.failure is not None:
        verdict = "failed"
    return Row(result.name, tuple(result.values), value, ratios, ratio, required, verdict, result.failure)


def _format_requirement(requirement: Requirement, unit: str) -> str:
    return f"{requirement.relation} {requirement.bound:g}{'x' if requirement.quantity == 'ratio' else ' ' + unit}"


def as_text(table: Table) -> str:
    """The table for a terminal, with padded columns."""
    cells = _table_cells(table)
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([table.title, *lines, *_failure_notes(table), *_notes(table)])


def as_markdown(table: Table) -> str:
    """The table as a section of a README."""
    header, *body = ["| " + " | ".join(line) + " |" for line in _table_cells(table)]
    rule = "|" + "|".join(["---", *["---:"] * (len(_table_cells(table)[0]) - 1)]) + "|"
    notes = [f"- {line}" for line in (*_failure_notes(table), *_notes(table))]
    return "\n".join([f"### {table.title}", "", header, rule, *body, "", *notes, ""])


def write(table: Table, folder: Path) -> None:
    """Write ``<benchmark>.json`` and ``<benchmark>.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.benchmark}.json").write_text(json.dumps(asdict(table), indent=2) + "\n")
    (folder / f"{table.benchmark}.md").write_text(as_markdown(table))


def _table_cells(table: Table) -> list[list[str]]:
    header = ["variant", table.unit, "min-max"]
    if table.baseline:
        header += [f"times {table.baseline}", "min-max"]
    lines = [[*header, "required", "verdict"]]
    for row in table.rows:
        line = [row.name, _format_optional(row.median), _format_range(row.values)]
        if table.baseline:
            line += [_format_optional(row.ratio), _format_range(row.ratios)]
        lines.append([*line, row.required, row.verdict])
    return lines


def _failure_notes(table: Table) -> list[str]:
    return [f"failed: {row.name}: {row.failure}" for row in table.rows if row.failure]


def _notes(table: Table) -> list[str]:
    return [_method_note(table), *environment_notes(table.environment, table.command)]


def environment_notes(environment: dict[str, Any], command: str) -> list[str]:
    """Command, machine, versions, date and code, one line each."""
    machine, versions, git = (environment.get(key) or {} for key in ("machine", "versions", "git"))
    notes = [
        f"command: {command}",
        "machine: " + ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None),
        "versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"date: {environment.get('date')}",
    ]
    if git:
        notes.append(f"code: {git['commit'][:12]}{' with uncommitted changes' if git['dirty'] else ''}")
    return notes


def _method_note(table: Table) -> str:
    text = f"medians of {table.repeats} interleaved repeats of {table.seconds:g} s"
    return text + ("; ratios are taken repeat by repeat, then their median" if table.baseline else "")


def _format_range(values: Sequence[float]) -> str:
    return f"{format_number(min(values))}-{format_number(max(values))}" if values else "-"


def _format_optional(value: float | None) -> str:
    return "-" if value is None else format_number(value)
