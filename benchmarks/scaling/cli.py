"""How speed, memory and compile time grow with workers, seeds, width, window length, processes and runs at a time.

python -m benchmarks scaling                             everything: about 25 minutes once everything is compiled
python -m benchmarks scaling --only workers,seeds        some of it; what else was measured before stays
python -m benchmarks scaling --draw --write-docs         nothing measured: figures and tables of what there is, into docs/
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
from benchmarks.harness import machine, readme
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

DOCS = machine.ROOT / "docs"
SPEED_PAGE = DOCS / "speed.md"
ALL_SERIES = all_series()
REPEATS = 5


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        series: their names.
        repeats: of every point.
        minutes: after which no repeat is begun that would not fit, the first pass not counted.
    """

    series: tuple[str, ...]
    repeats: int
    minutes: float


def measure(
    plan: Plan, results: Sequence[SeriesResult], runs: PointRuns, save: Callable[[], None], log: Callable[[str], None]
) -> None:
    """Prepare every point, then measure all of them again and again; a point that fails is left out from then on.

    Args:
        plan: how often, and for how long.
        results: of the plan's series, still empty; they are filled.
        runs: what prepares and measures.
        save: called after every point, so that nothing is lost.
        log: progress.
    """
    points = unique_points([ALL_SERIES[name] for name in plan.series])
    for number, point in enumerate(points, start=1):
        _prepare_point(point, f"  preparing {number}/{len(points)} {point.label}", results, runs, log)
        save()
    began = time.monotonic()
    for repeat in range(plan.repeats):
        spent = time.monotonic() - began
        if repeat and spent + spent / repeat > 60 * plan.minutes:
            log(f"{repeat} repeats took {spent / 60:.0f} minutes; another would not fit into --minutes {plan.minutes:g}")
            return
        for point in points:
            _measure_point(point, f"  {repeat + 1}/{plan.repeats} {point.label}", results, runs, log)
            save()
        if repeat == 0 and plan.repeats > 1:
            whole = (time.monotonic() - began) * plan.repeats / 60
            log(f"one repeat done; {plan.repeats} take about {math.ceil(whole)} minutes")


def _prepare_point(
    point: Point, name: str, results: Sequence[SeriesResult], runs: PointRuns, log: Callable[[str], None]
) -> None:
    try:
        compilation = runs.prepare(point)
    except Exception as error:  # whatever it was, the other points are still worth measuring
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
        # Both end the measured command and all below it. SIGINT too: a background job would ignore it.
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
        if few := [name for name, result in results.items() if not result.repeats.isdigit() or int(result.repeats) < REPEATS]:
            _log(f"docs/ is left as it was: fewer than {REPEATS} repeats of {', '.join(few)}; measure those again with --only")
            return 2
        _write_figures(drawn, DOCS / "figures")
        tables = as_markdown(results, {name: f"figures/{figure_path(DOCS, name).name}" for name in drawn})
        SPEED_PAGE.write_text(readme.fill(SPEED_PAGE.read_text(), tables))
    asked = [results[name] for name in arguments.only if name in results]
    return int(any(row.failure for result in asked for row in result.rows))


def _measure_plan(
    plan: Plan, before: Mapping[str, SeriesResult], out: Path, seconds: float, cold: bool
) -> dict[str, SeriesResult]:
    """The earlier results with those of the plan's series in their places."""
    environment, command = machine.environment(), machine.command_line()
    new = {name: new_result(ALL_SERIES[name], seconds, command, environment) for name in plan.series}
    names = [name for name in (*ALL_SERIES, *before) if name in new or name in before]
    if aside := back_up(out, [name for name in new if name in before], datetime.now()):
        _log(f"some of it was measured before; that stays in {aside}")

    def keep() -> None:
        for name, result in new.items():
            for row in result.rows:
                carry_over_compilation(row, before.get(name))
        # Until there is something new to show, what was measured before stands in its place.
        begun = {name for name, result in new.items() if name not in before or any(row.measured for row in result.rows)}
        write({name: new[name] if name in begun else before[name] for name in names}, out)

    with tempfile.TemporaryDirectory(prefix="a3c_benchmarks_", ignore_cleanup_errors=True) as folder:
        _log(f"{BENCHMARK_NAME}: {', '.join(plan.series)}; {plan.repeats} repeats")
        measure(plan, list(new.values()), PointRuns(Path(folder), seconds, cold), keep, _log)
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
        "--only", default=",".join(ALL_SERIES), help=f"series, with commas between: {', '.join(ALL_SERIES)}; all without"
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="interleaved repeats (5); fewer only to try it out")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of the measured part of a run (2.5)")
    parser.add_argument("--minutes", type=float, default=40.0, help="begin no repeat that would last beyond so many (40)")
    parser.add_argument(
        "--cold", action="store_true", help="compile everything anew, to see how long that takes (half an hour)"
    )
    parser.add_argument(
        "--out", type=Path, default=machine.ROOT / "outputs" / "benchmarks", help="folder for JSON, Markdown, SVG"
    )
    parser.add_argument("--draw", action="store_true", help="measure nothing: tables and figures of what lies in --out")
    parser.add_argument("--write-docs", action="store_true", help="put figures into docs/figures/, tables into docs/speed.md")
    arguments = parser.parse_args(argv)
    arguments.only = tuple(dict.fromkeys(arguments.only.split(",")))
    unknown = [name for name in arguments.only if name not in ALL_SERIES]
    if unknown:
        parser.error(f"--only {','.join(unknown)} is none of the series {', '.join(ALL_SERIES)}; such as --only workers,seeds")
    if arguments.repeats < 1 or arguments.seconds <= 0 or arguments.minutes <= 0:
        parser.error("--repeats must be at least 1, --seconds and --minutes more than 0, such as --repeats 5 --seconds 2.5")
    if arguments.write_docs and not arguments.draw and arguments.repeats < REPEATS:
        parser.error(f"--write-docs wants medians of at least {REPEATS} repeats; leave --repeats out or raise it")
    if arguments.write_docs:
        readme.fill(
            SPEED_PAGE.read_text() if SPEED_PAGE.exists() else "", ""
        )  # before half an hour of measuring: is there a place?
    return arguments


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
