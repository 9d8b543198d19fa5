"""How speed, memory and compile time grow with workers, seeds, width, window length, processes and runs at a time.

python -m benchmarks scaling                             everything: about 25 minutes once everything is compiled
python -m benchmarks scaling --only workers,seeds        some of it; the rest is kept
python -m benchmarks scaling --draw --write-docs         figures and tables of earlier measurements, into docs/
"""

import argparse
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from a3c_exp.system.errors import A3CError
from a3c_exp.system.number_format import format_number
from benchmarks.harness import readme
from benchmarks.harness.environment import ROOT, command_line, environment
from benchmarks.harness.interleaved import MeasurementError
from benchmarks.scaling import figures as scaling_figures
from benchmarks.scaling.points import Point, all_series, unique_points
from benchmarks.scaling.record import (
    BENCHMARK_NAME,
    SeriesResult,
    as_markdown,
    as_text,
    back_up,
    carry_over_compilation,
    figure_path,
    new_result,
    read,
    rows_of,
    write,
)
from benchmarks.scaling.run import PointRuns

DOCS = ROOT / "docs"
SPEED_PAGE = DOCS / "speed.md"
ALL_SERIES = all_series()
REPEATS = 5


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        series: names of the series.
        repeats: measurements of every point.
        minutes: no repeat begins that would end later than this, not counting the first pass.
    """

    series: tuple[str, ...]
    repeats: int
    minutes: float


def measure(
    plan: Plan, results: Sequence[SeriesResult], runs: PointRuns, save: Callable[[], None], log: Callable[[str], None]
) -> None:
    """Prepare every point, then measure all of them repeatedly; a point that fails is left out from then on.

    Args:
        plan: what to measure.
        results: the empty results of the plan's series, which are filled.
        runs: prepares and measures points.
        save: called after every point.
        log: receives progress messages.
    """
    points = unique_points([ALL_SERIES[name] for name in plan.series])
    for number, point in enumerate(points, start=1):
        _prepare_point(point, f"  preparing {number}/{len(points)} {point.label}", results, runs, log)
        save()
    began = time.monotonic()
    for repeat in range(plan.repeats):
        elapsed = time.monotonic() - began
        if repeat and elapsed + elapsed / repeat > 60 * plan.minutes:
            log(f"{repeat} repeats took {elapsed / 60:.0f} minutes; another would exceed --minutes {plan.minutes:g}")
            return
        for point in points:
            _measure_point(point, f"  {repeat + 1}/{plan.repeats} {point.label}", results, runs, log)
            save()
        if repeat == 0 and plan.repeats > 1:
            total = (time.monotonic() - began) * plan.repeats / 60
            log(f"one repeat done; {plan.repeats} take about {math.ceil(total)} minutes")


def _prepare_point(
    point: Point, name: str, results: Sequence[SeriesResult], runs: PointRuns, log: Callable[[str], None]
) -> None:
    try:
        compilation = runs.prepare(point)
    except Exception as error:  # the other points can still be measured
        _record_failure(point, name, error, results, log)
        return
    for row in rows_of(point, results):
        row.compiled = compilation
    seconds = compilation.seconds
    log(f"{name}: {compilation.remark or ('warm' if seconds is None else f'compiled in {seconds:.0f} s')}")


def _measure_point(
    point: Point, name: str, results: Sequence[SeriesResult], runs: PointRuns, log: Callable[[str], None]
) -> None:
    rows = rows_of(point, results)
    if any(row.failure for row in rows):
        return
    try:
        measured = runs.measure(point)
    except Exception as error:
        _record_failure(point, name, error, results, log)
        return
    for row in rows:
        row.measured.append(measured)
    log(f"{name}: {format_number(measured.steps_per_second)} steps/s, {format_number(measured.memory_mb)} MB")


def _record_failure(
    point: Point, name: str, error: Exception, results: Sequence[SeriesResult], log: Callable[[str], None]
) -> None:
    kind = "" if isinstance(error, MeasurementError) else f"{type(error).__name__}: "
    reason = kind + " ".join(str(error).split())
    for row in rows_of(point, results):
        row.failure = reason
    log(f"{name}: failed: {reason}")


def main(argv: Sequence[str]) -> int:
    """Entry of the command; returns its exit code: 0 if every point was measured."""
    arguments = _arguments(argv)
    results = read(arguments.out)
    if not arguments.draw:
        # Both signals end the measured command with all its processes. A background job would ignore SIGINT.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        plan = Plan(arguments.only, arguments.repeats, arguments.minutes)
        try:
            results = _measure_plan(plan, results, arguments.out, arguments.seconds, arguments.cold)
        except KeyboardInterrupt:
            _log(f"interrupted; what was measured is in {arguments.out}")
            return 130
    if not results:
        _log(f"there is no {BENCHMARK_NAME}.json in {arguments.out}; measure first: python -m benchmarks {BENCHMARK_NAME}")
        return 2
    print(f"\n{as_text(results)}", flush=True)
    try:
        drawn = scaling_figures.draw(results)
    except A3CError as error:
        _log(str(error))
        return 2
    _write_figures(drawn, arguments.out)
    write(results, arguments.out)
    if arguments.write_docs:
        if incomplete := [
            name for name, result in results.items() if not result.repeats.isdigit() or int(result.repeats) < REPEATS
        ]:
            _log(
                f"docs/ is unchanged: fewer than {REPEATS} repeats of {', '.join(incomplete)}. Measure those again with --only"
            )
            return 2
        _write_figures(drawn, DOCS / "figures")
        tables = as_markdown(results, {name: f"figures/{figure_path(DOCS, name).name}" for name in drawn})
        SPEED_PAGE.write_text(readme.fill(SPEED_PAGE.read_text(), tables))
    requested = [results[name] for name in arguments.only if name in results]
    return int(any(row.failure for result in requested for row in result.rows))


def _measure_plan(
    plan: Plan, before: Mapping[str, SeriesResult], out: Path, seconds: float, cold: bool
) -> dict[str, SeriesResult]:
    """The earlier results, with those of the plan's series replaced."""
    measured_on, command = environment(), command_line()
    new = {name: new_result(ALL_SERIES[name], seconds, command, measured_on) for name in plan.series}
    names = [name for name in (*ALL_SERIES, *before) if name in new or name in before]
    if backup := back_up(out, [name for name in new if name in before], datetime.now()):
        _log(f"earlier measurements of these series are kept in {backup}")

    def save() -> None:
        for name, result in new.items():
            for row in result.rows:
                carry_over_compilation(row, before.get(name))
        # Until a series has new measurements, its earlier ones are kept.
        started = {name for name, result in new.items() if name not in before or any(row.measured for row in result.rows)}
        write({name: new[name] if name in started else before[name] for name in names}, out)

    with tempfile.TemporaryDirectory(prefix="a3c_benchmarks_", ignore_cleanup_errors=True) as folder:
        _log(f"{BENCHMARK_NAME}: {', '.join(plan.series)}; {plan.repeats} repeats")
        measure(plan, list(new.values()), PointRuns(Path(folder), seconds, cold), save, _log)
    return {name: new.get(name) or before[name] for name in names}


def _write_figures(figures: Mapping[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in figures.items():
        figure_path(folder, name).write_text(svg)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {BENCHMARK_NAME}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default=",".join(ALL_SERIES), help=f"series, separated by commas: {', '.join(ALL_SERIES)}; default: all"
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="interleaved repeats (5)")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of the measured part of a run (2.5)")
    parser.add_argument("--minutes", type=float, default=40.0, help="begin no repeat that would end later than this (40)")
    parser.add_argument(
        "--cold", action="store_true", help="compile everything anew, to see how long that takes (half an hour)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "benchmarks", help="folder for JSON, Markdown, SVG")
    parser.add_argument("--draw", action="store_true", help="measure nothing: tables and figures of the measurements in --out")
    parser.add_argument("--write-docs", action="store_true", help="write figures into docs/figures/, tables into docs/speed.md")
    arguments = parser.parse_args(argv)
    arguments.only = tuple(dict.fromkeys(arguments.only.split(",")))
    unknown = [name for name in arguments.only if name not in ALL_SERIES]
    if unknown:
        parser.error(
            f"--only {','.join(unknown)} is not a series; the series are {', '.join(ALL_SERIES)}. Try --only workers,seeds"
        )
    if arguments.repeats < 1 or arguments.seconds <= 0 or arguments.minutes <= 0:
        parser.error("--repeats must be at least 1, --seconds and --minutes more than 0, such as --repeats 5 --seconds 2.5")
    if arguments.write_docs and not arguments.draw and arguments.repeats < REPEATS:
        parser.error(f"--write-docs needs at least {REPEATS} repeats. Try --repeats {REPEATS}")
    if arguments.write_docs:
        readme.fill(SPEED_PAGE.read_text() if SPEED_PAGE.exists() else "", "")  # fail before measuring, not after
    return arguments


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
