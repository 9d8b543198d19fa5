"""``python -m a3c_exp.report``: from run directories to one self-contained page, with figures, tables and verdicts."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.report.builder import Report as Report
    from a3c_exp.report.builder import make_report as make_report
    from a3c_exp.report.builder import write_report as write_report
    from a3c_exp.report.run_reader import RunData as RunData
    from a3c_exp.report.run_reader import read_runs as read_runs
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        Report="builder",
        make_report="builder",
        write_report="builder",
        RunData="run_reader",
        read_runs="run_reader",
    )
