"""``python -m a3c_exp.report``: figures, tables and what to doubt, from run directories to one page."""

import argparse
import io
import sys
from pathlib import Path

from a3c_exp.analysis.report import make_report
from a3c_exp.analysis.study import is_study
from a3c_exp.analysis.study_report import make_study_report
from a3c_exp.core.errors import A3CError

_EPILOG = """\
examples:
  python -m a3c_exp.report outputs/2026-11-21/14-10-05_pendulum_sweep
      all runs of a sweep; the report goes into that folder, under report/
  python -m a3c_exp.report outputs/2026-11-20 outputs/2026-11-21 --out report
      everything of two days in one comparison
  python -m a3c_exp.report outputs/studies/pendulum
      an Optuna study: what was best, how it got there, what mattered
  python -m a3c_exp.report outputs --ignore logger --ignore parallelism.processes
      runs that differ in these values only count as seeds of the same configuration

The page (index.html) needs neither network nor scripts: send it as it is. Beside it lie runs.csv and figures/*.svg.
Seeds that trained together (num_seeds=10) are read each as a run of its own.
Runs that still run, failed or were killed are read as far as they got, and marked. An earlier report is replaced;
anything else in the way is not."""


def main(argv: list[str] | None = None) -> int:
    """Make a report; 0 if it was made, 2 with one line on stderr if it could not be."""
    parser = argparse.ArgumentParser(
        prog="python -m a3c_exp.report",
        description="Compare runs: curves, tables and diagnostics as one self-contained HTML page.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="run directories, or folders of them")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: DIR/report for one directory, else ./report)"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="a configuration value that makes no difference, and all below it (seed, num_seeds, name always); repeatable",
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ± or a true minus shows a question mark
            stream.reconfigure(errors="replace")
    options = parser.parse_args(argv)
    directories: list[Path] = options.directories
    out: Path = options.out or (directories[0] / "report" if len(directories) == 1 else Path("report"))
    try:
        if len(directories) == 1 and is_study(directories[0]):
            study = make_study_report(directories[0], out)
            print(f"{study.text}\n\nreport: {study.index}")
            return 0
        report = make_report(directories, out, options.ignore)
    except A3CError as error:
        print(f"a3c_exp.report: {error}", file=sys.stderr)
        return 2
    print(report.text)
    print(f"\nreport: {report.index}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
