"""Measure a3c_exp on this machine.

python -m benchmarks                         all benchmarks of the list below
python -m benchmarks speed --repeats 5       one of them
python -m benchmarks --write-readme          also write the tables into benchmarks/README.md
python -m benchmarks parts --write-docs      those by processor time into docs/speed.md
python -m benchmarks scaling --help          how cost grows: a command of its own, not part of all
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import readme
from benchmarks.harness.environment import ROOT, command_line, environment
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.table import Table, as_text, make_rows, write
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.scaling import cli as scaling
from benchmarks.suites import (
    car_racing,
    cartpole,
    cartpole_core,
    cluster,
    conv_gru,
    driving,
    memory,
    normalization,
    overnight,
    parts,
    pendulum_core,
    pictures,
    reading,
    rounds,
    solve,
    speed,
    startup,
    stepping,
    throughput,
)

BENCHMARKS = {
    "speed": speed,
    "throughput": throughput,
    "stepping": stepping,
    "rounds": rounds,
    "parts": parts,
    "pendulum_core": pendulum_core,
    "overnight": overnight,
    "memory": memory,
    "normalization": normalization,
    "startup": startup,
    "cartpole": cartpole,
    "cartpole_core": cartpole_core,
    "solve": solve,
    "car_racing": car_racing,
    "driving": driving,
    "conv_gru": conv_gru,
    "pictures": pictures,
    "reading": reading,
    "cluster": cluster,
}
PER_CORE = "pendulum_core", "cartpole_core", "pictures", "parts"
"""Those by processor time, whose tables are in docs/speed.md."""
SPEED_PAGE = ROOT / "docs" / "speed.md"
OUTPUT_FOLDER = ROOT / "outputs" / "benchmarks"


def measure(name: str, runs: TrainingRuns, repeats: int, measured_on: dict[str, Any], only: Sequence[str] = ()) -> Table:
    """Run one benchmark, or the variants of it with one of ``only`` in their names, beside the baseline."""
    benchmark = BENCHMARKS[name]
    _log(f"{benchmark.TITLE}, {repeats} repeats")
    variants = [
        variant
        for variant in benchmark.variants(runs)
        if not only or variant.name == benchmark.BASELINE or any(text in variant.name for text in only)
    ]
    results = interleave(variants, repeats, _log)
    return Table(
        benchmark=name,
        title=benchmark.TITLE,
        unit=benchmark.UNIT,
        baseline=benchmark.BASELINE,
        repeats=repeats,
        seconds=runs.seconds,
        command=command_line(),
        environment=measured_on,
        rows=make_rows(results, benchmark.UNIT, benchmark.BASELINE),
    )


def main() -> int:
    if sys.argv[1:2] == ["scaling"]:  # it measures several quantities, and has its own options and tables
        return scaling.main(sys.argv[2:])
    arguments = _arguments()
    if arguments.write_readme:
        readme.check_markers()
    if arguments.write_docs:
        readme.check_markers(SPEED_PAGE, "per_core")
    measured_on = environment()  # once, before the load average includes the benchmark itself
    # Both signals end the block below, and the measured commands with it. A background job would ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    tables = []
    try:
        with tempfile.TemporaryDirectory(prefix="a3c_benchmarks_", ignore_cleanup_errors=True) as folder:
            runs = TrainingRuns(Path(folder), arguments.seconds)
            for name in [arguments.benchmark] if arguments.benchmark else BENCHMARKS:
                table = measure(name, runs, arguments.repeats, measured_on, arguments.only)
                write(table, arguments.out)
                print(f"\n{as_text(table)}\n", flush=True)
                tables.append(table)
    except KeyboardInterrupt:
        _log("interrupted; finished tables are in " + str(arguments.out))
        return 130
    if arguments.write_readme:
        readme.write(arguments.out, list(BENCHMARKS))
    if arguments.write_docs:
        readme.write(arguments.out, PER_CORE, SPEED_PAGE, "per_core")
    return 0 if all(table.passed for table in tables) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", nargs="?", choices=list(BENCHMARKS), help="the benchmark; without it all of them")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repeats (3)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement of training (20)")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only variants with this in their names")
    parser.add_argument("--out", type=Path, default=OUTPUT_FOLDER, help="folder for JSON and Markdown (outputs/benchmarks)")
    parser.add_argument("--write-readme", action="store_true", help="write the tables of --out into benchmarks/README.md")
    parser.add_argument("--write-docs", action="store_true", help=f"write those of {', '.join(PER_CORE)} into docs/speed.md")
    arguments = parser.parse_args()
    if arguments.only and (arguments.write_readme or arguments.write_docs):
        parser.error("a table is written with all its variants: leave out --only, or what writes it")
    if arguments.repeats < 1 or arguments.seconds <= 0:
        parser.error("--repeats must be at least 1 and --seconds more than 0, such as --repeats 3 --seconds 20")
    if (arguments.write_readme or arguments.write_docs) and arguments.repeats < 3:
        parser.error("--write-readme and --write-docs need at least 3 repeats. Try --repeats 3")
    return arguments


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
