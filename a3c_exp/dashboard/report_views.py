"""What the page asks about results: reports that were made, and tables and verdicts of runs as they stand now."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.run_views import Json, Query
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.aggregate import group_by_configuration, runs_by_task
from a3c_exp.report.provenance import comparison_warnings
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.sections import Table
from a3c_exp.report.tables import diagnostics_table, summary_table
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import typographic

_MAX_JUDGED = 2_000  # runs, which are all read completely


class ReportViews:
    """Answers about reports. Tables and verdicts are those of ``a3c_exp.report``, by the same code."""

    def __init__(self, index: OutputsIndex) -> None:
        self._index = index
        self._lock = Lock()  # one at a time: it is the only answer that takes a processor for seconds
        self._last: tuple[object, Json] = ((), {})

    def list_reports(self, query: Query) -> Json:
        """The pages that ``a3c_exp.report`` made, the newest first."""
        pages = self._index.snapshot().reports
        rows = [{"id": id, "title": page.title, "made": page.made} for id, page in pages.items()]
        return {"reports": sorted(rows, key=lambda row: -float(str(row["made"])))}

    def judge(self, query: Query) -> Json:
        """Means over seeds of each configuration in the folder ``id``, and verdicts on the ablations there, as of now. Raises
        ConfigError for a folder without runs, or with too many."""
        id = query.get("id", [""])[-1]
        runs = self._index.snapshot().below(id)
        if not 1 <= len(runs) <= _MAX_JUDGED:
            raise ConfigError(f"{id}: {len(runs)} runs, where 1 to {_MAX_JUDGED} can be judged. Choose another folder")
        key = (id, tuple(run.version for run in runs))
        with self._lock:
            if self._last[0] != key:
                self._last = (key, _judge([run.summary.path for run in runs]))
            return self._last[1]


def _judge(paths: Sequence[Path]) -> Json:
    runs = [RunData(path) for path in paths]
    parts = []
    for task, of_task in runs_by_task(runs).items():
        comparison = group_by_configuration(of_task)
        tables = [summary_table(comparison), diagnostics_table(comparison)]
        parts.append(
            {"title": task or "Summary", "lead": "", "notes": comparison_warnings(comparison),
             "tables": [_plain_table(table) for table in tables if table.rows]}
        )  # fmt: skip
    section = build_ablation_section(runs, draw_figures=False)
    if section is not None:
        tables = list(section.tables)
        parts.insert(0, {"title": section.title, "lead": section.lead, "notes": list(section.notes),
                         "tables": [_plain_table(table) for table in tables]})  # fmt: skip
    return {"sections": parts, "num_runs": len(runs)}


def _plain_table(table: Table) -> Json:
    rows = [
        [{"text": typographic(cell.text), "note": typographic(cell.note), "status": cell.status} for cell in row]
        for row in table.rows
    ]
    return {"name": table.name, "columns": list(table.columns), "num_texts": table.num_text_columns, "rows": rows}
