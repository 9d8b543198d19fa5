"""``python -m a3c_exp.runs``: run directories, written, found, read, filtered and ranked."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.runs.record import RunRecord as RunRecord
    from a3c_exp.runs.run_directories import find_runs as find_runs
    from a3c_exp.runs.run_summary import RunSummary as RunSummary, find_run_summaries as find_run_summaries
