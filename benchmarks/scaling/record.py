"""The results of the scaling benchmark: series by series in one JSON file, and as tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from a3c_exp.system.number_format import format_number
from benchmarks.harness.table import environment_notes, pairwise_ratios
from benchmarks.scaling.points import Point, Series
from benchmarks.scaling.run import Compilation, PointMeasurement

BENCHMARK_NAME = "scaling"


@dataclass
class PointResult:
    """A point and its measurements in the order of repeats.

    Attributes:
        compiled: compilation of the first pass, or an earlier one if the code was in the cache.
        failure: why there are no measurements, or no more.
        measured: the measurements of successful repeats.
    """

    label: str
    overrides: tuple[str, ...]
    line: str = ""
    x: float | None = None
    against: str | None = None
    compiled: Compilation | None = None
    failure: str | None = None
    measured: list[PointMeasurement] = field(default_factory=list)

    def values(self, quantity: str) -> list[float]:
        """The known values of a quantity of ``PointMeasurement``."""
        values = (getattr(measurement, quantity) for measurement in self.measured)
        return [value for value in values if value is not None]


@dataclass
class SeriesResult:
    """A measured series, with all that is needed to interpret it and to measure it again."""

    name: str
    title: str
    axis: str
    seconds: float
    command: str
    environment: dict[str, Any]
    rows: list[PointResult]

    @property
    def repeats(self) -> str:
        """The number of repeats of the rows that did not fail: ``5``, or ``2 to 3`` if the last was interrupted."""
        counts = [len(row.measured) for row in self.rows if not row.failure] or [0]
        return f"{max(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"

    def ratios(self, row: PointResult) -> tuple[float, ...]:
        """The row's speed over that of the row it is compared with, repeat by repeat."""
        other = next((candidate for candidate in self.rows if candidate.label == row.against), None)
        if other is None:
            return ()
        return pairwise_ratios(row.values("steps_per_second"), other.values("steps_per_second"))


def new_result(series: Series, seconds: float, command: str, environment: dict[str, Any]) -> SeriesResult:
    """The empty result of a series."""
    rows = [PointResult(point.label, point.overrides, point.line, point.x, point.against) for point in series.points]
    return SeriesResult(series.name, series.title, series.axis, seconds, command, environment, rows)


def rows_of(point: Point, results: Sequence[SeriesResult]) -> list[PointResult]:
    """All rows that a point's measurements belong to."""
    return [row for result in results for row in result.rows if row.overrides == point.overrides]


def read(folder: Path) -> dict[str, SeriesResult]:
    """Earlier results by series.

    Raises:
        SystemExit: the file exists and cannot be read, so writing would lose it.
    """
    path = folder / f"{BENCHMARK_NAME}.json"
    if not path.exists():
        return {}
    try:
        return {each["name"]: _series_result(each) for each in json.loads(path.read_text())["series"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{path} holds earlier measurements but cannot be read ({type(error).__name__}: {error}). Move it away, "
            "or try another folder with --out"
        ) from None


def back_up(folder: Path, replaced: Sequence[str], now: datetime) -> Path | None:
    """Copy the file before series in it are replaced; the copy's path, or ``None`` if nothing is replaced."""
    path = folder / f"{BENCHMARK_NAME}.json"
    if not replaced:
        return None
    backup = folder / f"{BENCHMARK_NAME}.{now:%Y-%m-%d_%H-%M-%S}.json"
    with backup.open("x") as file:
        file.write(path.read_text())
    return backup


def write(results: Mapping[str, SeriesResult], folder: Path) -> None:
    """Write ``scaling.json`` and ``scaling.md``, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": BENCHMARK_NAME, "series": [asdict(result) for result in results.values()]}
    tables = as_markdown(results, {name: path.name for name in results if (path := figure_path(folder, name)).exists()})
    for name, text in ((f"{BENCHMARK_NAME}.json", json.dumps(content, indent=2) + "\n"), (f"{BENCHMARK_NAME}.md", tables)):
        new = folder / f"{name}.new"
        new.write_text(text)
        new.replace(folder / name)


def figure_path(folder: Path, name: str) -> Path:
    """The path of a series' figure."""
    return folder / f"{BENCHMARK_NAME}_{name}.svg"


def as_markdown(results: Mapping[str, SeriesResult], figures: Mapping[str, str]) -> str:
    """A section for each series, with its figure, if ``figures`` has it, above its table."""
    sections = []
    for result, notes in zip(results.values(), _table_notes(results), strict=True):
        header, *body = ["| " + " | ".join(line) + " |" for line in table_cells(result)]
        rule = "|---|" + "---:|" * (header.count(" | "))
        title = result.title[0].upper() + result.title[1:]
        image = [f"![{title}]({figures[result.name]})", ""] if result.name in figures else []
        bullets = [f"- {line}" for line in notes]
        sections.append("\n".join([f"### {title}", "", *image, header, rule, *body, "", *bullets, ""]))
    return "\n".join(sections)


def as_text(results: Mapping[str, SeriesResult]) -> str:
    """The same for a terminal, with padded columns."""
    sections = []
    for result, notes in zip(results.values(), _table_notes(results), strict=True):
        table = table_cells(result)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
            )
            for line in table
        ]
        sections.append("\n".join([f"{BENCHMARK_NAME}, {result.title}", lines[0], "-" * len(lines[0]), *lines[1:], *notes]))
    return "\n\n".join(sections)


def _table_notes(results: Mapping[str, SeriesResult]) -> list[list[str]]:
    """The notes below each table; of several that one command measured, only the last has the environment."""
    notes = []
    for result, following in pairwise([*results.values(), None]):
        assert result is not None
        together = following and (result.command, result.environment) == (following.command, following.environment)
        environment = [] if together else environment_notes(result.environment, result.command)
        notes.append([*row_notes(result), method_note(result), *environment])
    return notes


def table_cells(result: SeriesResult) -> list[list[str]]:
    """A header, and a line per row."""
    compared = any(row.against for row in result.rows)
    sweep = _is_sweep(result)
    header = ["configuration", "steps/s", "min-max"]
    header += ["times", "min-max"] if compared else []
    header += ["seconds"] if sweep else ["µs of CPU a step"]
    lines = [[*header, "MB at most", "compiled in"]]
    for row in result.rows:
        speeds = row.values("steps_per_second")
        line = [row.label, _format_median(speeds), _format_range(speeds)]
        if compared:
            ratios = result.ratios(row)
            line += [_format_median(ratios), _format_range(ratios)]
        line.append(_format_median(row.values("seconds" if sweep else "cpu_microseconds")))
        memory = row.values("memory_mb")
        lines.append([*line, format_number(max(memory)) if memory else "-", _format_compilation(row)])
    return lines


def row_notes(result: SeriesResult) -> list[str]:
    """Notes on single rows."""
    failures = [f"failed: {row.label}: {row.failure}" for row in result.rows if row.failure]
    return failures + [f"{row.label}: {row.compiled.remark}" for row in result.rows if row.compiled and row.compiled.remark]


def method_note(result: SeriesResult) -> str:
    """How often and how long everything was measured, and what the columns mean."""
    note = f"medians of {result.repeats} interleaved repeats"
    if not _is_sweep(result):
        note += f" of {result.seconds:g} s"
    if any(row.against for row in result.rows):
        note += "; times: against one process or one run at a time, repeat by repeat, then their median"
    return f"{note}; warm: compiled code was found in the cache"


def carry_over_compilation(row: PointResult, earlier: SeriesResult | None) -> None:
    """If the code was in the cache, take the compile time from an earlier measurement, if there is one."""
    if earlier is None or row.compiled is None or row.compiled.seconds is not None or row.compiled.remark:
        return
    before = next((other.compiled for other in earlier.rows if other.overrides == row.overrides), None)
    if before is not None and before.seconds is not None:
        row.compiled = before


def _series_result(data: dict[str, Any]) -> SeriesResult:
    rows = []
    for each in data.pop("rows"):
        compiled, measured = each.pop("compiled"), each.pop("measured")
        rows.append(
            PointResult(
                **{**each, "overrides": tuple(each["overrides"])},
                compiled=None if compiled is None else Compilation(**compiled),
                measured=[PointMeasurement(**values) for values in measured],
            )
        )
    return SeriesResult(**data, rows=rows)


def _is_sweep(result: SeriesResult) -> bool:
    return any("hydra/launcher=" in override for row in result.rows for override in row.overrides)


def _format_compilation(row: PointResult) -> str:
    if row.compiled is None:
        return "-"
    if row.compiled.remark:
        return "not all"
    if row.compiled.seconds is None:
        return "warm"
    return f"{row.compiled.seconds:.0f} s, {row.compiled.peak_mb:,.0f} MB"


def _format_median(values: Sequence[float]) -> str:
    return format_number(median(values)) if values else "-"


def _format_range(values: Sequence[float]) -> str:
    return f"{format_number(min(values))}-{format_number(max(values))}" if values else "-"
