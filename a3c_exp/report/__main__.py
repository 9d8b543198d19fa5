"""``python -m a3c_exp.report``: figures, tables and what to doubt, from run directories to one page."""

import argparse
import sys
from pathlib import Path

from a3c_exp.report.benchmark_table import benchmark_table
from a3c_exp.report.builder import make_report
from a3c_exp.report.study.page import make_study_report
from a3c_exp.report.study.reader import is_study
from a3c_exp.system.cli import CommandParser, print_notice, run_command
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.extras import require_extra

_EPILOG = """\
examples:
  python -m a3c_exp.report outputs/2026-11-21/14-10-05_pendulum_sweep
      all runs of a sweep; the report goes into that folder, under report/
  python -m a3c_exp.report outputs/2026-11-20 outputs/2026-11-21 --out report
      everything of two days in one comparison
  python -m a3c_exp.report --compare outputs/2026-11-20/one_sweep outputs/2026-11-21/another
      two sides compared: what differs, by how much, and whether it can be chance
  python -m a3c_exp.report outputs/2026-11-21 --compare parallelism=hogwild parallelism=deterministic
      the same among runs of one place, distinguished by conditions as of python -m a3c_exp.runs
  python -m a3c_exp.report outputs/zoo --table zoo
      what the presets of a table reach, beside what is published
  python -m a3c_exp.report outputs/studies/pendulum
      an Optuna study: what was best, how it got there, what mattered
  python -m a3c_exp.report outputs --ignore logger --ignore parallelism.processes
      runs that differ in these values only count as seeds of the same configuration
  python -m a3c_exp.report outputs/2026-11-21 --thesis
      for LaTeX as well: figures/*.pdf and *.pgf, tables/*.tex (booktabs), thesis/methods.tex and references.bib, and
      thesis/example.tex, a document that shows them all
  python -m a3c_exp.report outputs/2026-11-21 --wandb
      and the figures as a report in Weights & Biases, on the runs that are there (python -m a3c_exp.runs sync sends them)

The page (index.html) needs neither network nor scripts: send it as it is. Next to it are runs.csv, tables/*.csv, and figures/
as SVG and PNG. Seeds that trained together (num_seeds=10) are read each as a run of its own.
Runs that still run, failed or were killed are read as far as they got, and marked. An earlier report is replaced;
anything else in the way is not."""


def main(argv: list[str] | None = None) -> int:
    """Make a report; 0 if it was made, 2 with one line on stderr if it could not be."""
    return run_command("a3c_exp.report", lambda: _main(_parser().parse_args(argv)))


def _main(options: argparse.Namespace) -> None:
    against: tuple[str, str] | None = tuple(options.compare) if options.compare else None
    directories: list[Path] = options.directories or [Path(side) for side in against or ()]
    if not directories:
        raise ConfigError("which runs? Name run directories or folders of them, such as python -m a3c_exp.report outputs")
    if options.table:
        print(benchmark_table(directories, options.table))
        return
    require_extra("a report", "matplotlib")  # before many runs are read
    if options.wandb:
        from a3c_exp.loggers.wandb_logger.sync import require_login
        from a3c_exp.report.wandb_report import import_workspaces, publish

        import_workspaces()  # before anything is made: a person who is not logged in should not have to wait for the message
        require_login()
    out: Path = options.out or (directories[0] / "report" if len(directories) == 1 else Path("report"))
    if len(directories) == 1 and is_study(directories[0]):
        if options.thesis:
            raise ConfigError(f"--thesis is for runs, and {directories[0]} is a study. Leave it out, or name its trials")
        print(f"{make_study_report(directories[0], out)}\n\nreport: {out / 'index.html'}")
        return
    report = make_report(directories, out, options.ignore, against, png=not options.no_png, thesis=options.thesis)
    print(f"{report.text}\n\nreport: {report.index}")
    for line in report.notices:
        print_notice(line)
    if options.wandb:
        print(f"W&B report: {publish(report.comparison, report.title)}")


def _parser() -> argparse.ArgumentParser:
    does = "Compare runs: verdicts, curves, tables and diagnostics as one self-contained HTML page."
    sides = "hold two sides against each other, each a folder of runs or conditions in one word ('workers=4 seed<5')"
    ignored = "a configuration value that makes no difference, and all below it (seed, num_seeds, name always); repeatable"
    parser = CommandParser("a3c_exp.report", does, _EPILOG)
    add = parser.add_argument
    add("directories", nargs="*", type=Path, metavar="DIR", help="run directories, or folders of them")
    add("--out", type=Path, metavar="DIR", help="where to (default: DIR/report for one directory, else ./report)")
    add("--compare", nargs=2, metavar=("A", "B"), help=sides)
    add("--ignore", action="append", default=[], metavar="NAME", help=ignored)
    add(
        "--table",
        metavar="NAME",
        help="print a table of presets beside published results as Markdown: zoo (+experiment=zoo/...)",
    )
    add("--no-png", action="store_true", help="figures as SVG only, which takes a third less time")
    add(
        "--thesis",
        action="store_true",
        help="figures as PDF and PGF, tables for LaTeX, a paragraph on methods and BibTeX as well",
    )
    add("--wandb", action="store_true", help="also make a report in W&B, from the runs that it has (needs a login)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
