"""``python -m a3c_exp.report``: from run directories to one self-contained page, with figures, tables and verdicts."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.builder import Report as Report, make_report as make_report
    from a3c_exp.report.run_reader import RunData as RunData, read_runs as read_runs
