"""Measures a3c_exp on this machine.

python -m benchmarks                         all: see below which
python -m benchmarks speed --repeats 5       one of them
python -m benchmarks --write-readme          and puts the tables into benchmarks/README.md
python -m benchmarks scaling --help          how cost grows: a command of its own, not among all
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, readme
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.table import Table, as_text, make_rows, write
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.scaling import cli as scaling
from benchmarks.suites import (
    car_racing,
    cartpole,
    conv_gru,
    driving,
    memory,
    overnight,
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
    "overnight": overnight,
    "memory": memory,
    "startup": startup,
    "cartpole": cartpole,
    "solve": solve,
    "car_racing": car_racing,
    "driving": driving,
    "conv_gru": conv_gru,
    "reading": reading,
}
OUTPUT_FOLDER = machine.ROOT / "outputs" / "benchmarks"


def measure(name: str, runs: TrainingRuns, repeats: int, environment: dict[str, Any]) -> Table:
    benchmark = BENCHMARKS[name]
    _log(f"{benchmark.TITLE}, {repeats} repeats")
    series = interleave(benchmark.variants(runs), repeats, _log)
    return Table(
        benchmark=name,
        title=benchmark.TITLE,
        unit=benchmark.UNIT,
        baseline=benchmark.BASELINE,
        repeats=repeats,
        seconds=runs.seconds,
        command=machine.command_line(),
        environment=environment,
        rows=make_rows(series, benchmark.UNIT, benchmark.BASELINE),
    )


def main() -> int:
    if sys.argv[1:2] == ["scaling"]:  # several quantities of many configurations: it has options and tables of its own
        return scaling.main(sys.argv[2:])
    arguments = _arguments()
    if arguments.write_readme:
        readme.check_markers()
    environment = machine.environment()  # once: later the load average shows our own work
    # Both end the block below and the measured commands with it. SIGINT too: a background job would ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    tables = []
    try:
        with tempfile.TemporaryDirectory(prefix="a3c_benchmarks_", ignore_cleanup_errors=True) as folder:
            runs = TrainingRuns(Path(folder), arguments.seconds)
            for name in [arguments.benchmark] if arguments.benchmark else BENCHMARKS:
                table = measure(name, runs, arguments.repeats, environment)
                write(table, arguments.out)
                print(f"\n{as_text(table)}\n", flush=True)
                tables.append(table)
    except KeyboardInterrupt:
        _log("interrupted; what was being measured is gone, finished tables are in " + str(arguments.out))
        return 130
    if arguments.write_readme:
        readme.write(arguments.out, list(BENCHMARKS))
    return 0 if all(table.passed for table in tables) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", nargs="?", choices=list(BENCHMARKS), help="one of them; all without")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repeats (3); fewer only to try it out")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one measured stretch of training (20)")
    parser.add_argument("--out", type=Path, default=OUTPUT_FOLDER, help="folder for JSON and Markdown (outputs/benchmarks)")
    parser.add_argument("--write-readme", action="store_true", help="put the tables in --out into benchmarks/README.md")
    arguments = parser.parse_args()
    if arguments.repeats < 1 or arguments.seconds <= 0:
        parser.error("--repeats must be at least 1 and --seconds more than 0, such as --repeats 3 --seconds 20")
    if arguments.write_readme and arguments.repeats < 3:
        parser.error("--write-readme wants medians of at least 3 repeats; leave --repeats out or raise it")
    return arguments


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
