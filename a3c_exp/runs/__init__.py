"""``python -m a3c_exp.runs``: run directories, written, found, read, filtered and ranked."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.runs.discovery import find_runs as find_runs
    from a3c_exp.runs.record import RunRecord as RunRecord
    from a3c_exp.runs.run_summary import RunSummary as RunSummary
    from a3c_exp.runs.run_summary import find_run_summaries as find_run_summaries
else:
    __getattr__, __all__ = lazy_exports(
        __name__, RunRecord="record", RunSummary="run_summary", find_run_summaries="run_summary", find_runs="discovery"
    )
