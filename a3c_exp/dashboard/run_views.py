"""What the page asks about runs: the list, one of them, and several side by side."""

import os
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from a3c_exp.dashboard.charts import AXES, ChartedRun, draw_charts
from a3c_exp.dashboard.log_table import LogTables
from a3c_exp.dashboard.outputs_index import COLUMNS, IndexedRun, OutputsIndex, Snapshot
from a3c_exp.report.run_reader import own_statistics
from a3c_exp.runs.details import config_differences, next_steps, origin_rows, result_rows
from a3c_exp.runs.format_table import Terminal
from a3c_exp.runs.listing import COLUMN_TITLES, budget_share, sort_by_time
from a3c_exp.runs.query import Condition, check_key, is_condition, parse_condition, select_runs
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import typographic

Json = dict[str, Any]
Query = dict[str, list[str]]

_MAX_CHARTED = 40  # runs in one figure: more lines than a person tells apart
_BYTES_A_REQUEST = 4_000_000  # of logs: a fraction of a second; the page asks again for the rest
_MAX_MEDIA = 60  # files of a kind on the page of a run
_MEDIA = {"videos": (".mp4", ".webm", ".gif"), "screenshots": (".png", ".jpg", ".gif")}
_TAIL_BYTES, _TAIL_LINES = 8_192, 40  # of messages.log
_TIMED = re.compile(r"\d\d-\d\d-\d\d_")
_RESULTS = ("evaluation", "best", "moving_average", "episodes", "env_steps", "updates", "wall_time", "steps_per_second")


class RunViews:
    """Answers about runs, in plain values for JSON."""

    def __init__(self, index: OutputsIndex) -> None:
        self._index = index
        self._tables = LogTables(index.folder)
        self._drawn: dict[tuple[str, ...], tuple[object, Json]] = {}  # the charts that were asked for last

    def list_runs(self, query: Query) -> Json:
        """The runs that meet the conditions ``q``, the newest first: rows that have changed since the version ``since`` of the
        index, and the order of all, unless it is still ``order``. ``columns`` are further keys.

        Raises ConfigError for a condition or a column that is none."""
        snapshot = self._index.snapshot()
        since = int(typed) if (typed := _one(query, "since")).isdecimal() else 0
        extra = [key for key in _one(query, "columns").split(",") if key]
        everything = [run.summary for run in snapshot.runs.values()]
        chosen = select_runs(everything, list(_conditions(_one(query, "q"))))
        for key in extra:
            check_key(key, everything)
        ids = {id(run.summary): run for run in snapshot.runs.values()}
        runs = [ids[id(summary)] for summary in _newest_first(chosen)]
        names = [run.id for run in runs]
        order = format(zlib.crc32("\n".join(names).encode()), "x")
        same = since and order == _one(query, "order")
        return {
            "version": snapshot.version,
            "order": order,
            "ids": None if same else names,
            "rows": [self._row(run, extra) for run in runs if run.version > since or not same],
            "columns": [[key, COLUMN_TITLES.get(key, key.replace("_", " "))] for key in (*COLUMNS, *extra)],
            "statuses": Counter(run.summary.status for run in runs).most_common(),
            "total": len(snapshot.runs),
            "left_out": snapshot.left_out,
        }

    def _row(self, run: IndexedRun, extra: Sequence[str]) -> Json:
        folder, _, _ = run.id.rpartition("/")
        parent = str(run.summary.path.parent.relative_to(self._index.folder.root)) if run.id != "." else ""
        cells = [run.cells[key] for key in COLUMNS] + [run.cell(key) for key in extra]
        row = {"id": run.id, "name": run.summary.path.name, "parent": parent, "folder": folder, "cells": cells}
        return row | {"status": run.summary.status}

    def show_run(self, query: Query) -> Json:
        """One run in full. Raises ConfigError for an ``id`` that is none."""
        snapshot = self._index.snapshot()
        (run,) = _find(snapshot, query, 1)
        summary, path = run.summary, run.summary.path
        typed = {text.lstrip("+~").partition("=")[0] for text in summary.overrides}
        share = budget_share(summary) if summary.status == "running" else None
        outer = path.parent / "run.json"  # of seeds that trained together
        places = [path, path.parent] if outer.is_file() and self._index.folder.contains(outer) else [path]
        return {
            "id": run.id,
            "name": summary.name,
            "path": str(path),
            "status": summary.status,
            "share": share,
            "reason": summary.reason,
            "results": [[name, typographic(text)] for name, text, _ in result_rows(summary, Terminal())],
            "config": [[name, text, name in typed] for name, text in summary.config_items()],
            "origin": origin_rows(summary),
            "problems": summary.problems,
            "next_steps": next_steps(summary),
            "media": {kind: self._media(kind, places) for kind in _MEDIA},
            "messages": self._last_messages(path),
            "report": snapshot.report_of(run.id),
        }

    def draw_curves(self, query: Query) -> Json:
        """The charts of the runs named by ``id``, over ``axis``. ``more``: their logs are longer than one answer reads on.
        Raises ConfigError for too many runs, or an axis that is none."""
        runs, axis = _find(self._index.snapshot(), query, _MAX_CHARTED), _one(query, "axis") or AXES[0]
        if axis not in AXES:
            raise ConfigError(f"axis={axis}: curves are over {' or '.join(AXES)}. Choose one of them")
        with self._tables.lock:
            left, charted = _BYTES_A_REQUEST, []
            for run in runs:
                tables, taken = self._tables.read(run.summary.path, left)
                left -= taken
                charted.append(ChartedRun(tables, own_statistics(run.summary.run_json)))
            key = (axis, *(run.id for run in runs))
            version = [table.version for run in charted for table in run.tables.values()]
            known = self._drawn.get(key)
            if known is None or known[0] != version:
                known = (version, {"charts": draw_charts(charted, axis)})
                self._drawn = {key: known, **dict(list(self._drawn.items())[:7])}
        labels = _labels([run.summary for run in runs])
        described = [
            {"id": run.id, "label": label, "status": run.summary.status} for run, label in zip(runs, labels, strict=True)
        ]
        return {"more": left <= 0, "runs": described, **known[1]}

    def compare_runs(self, query: Query) -> Json:
        """What differs between the configurations of several runs, and what they came to."""
        runs = _find(self._index.snapshot(), query, _MAX_CHARTED)
        summaries = [run.summary for run in runs]
        results = [[COLUMN_TITLES.get(key, key.replace("_", " ")), *(run.cell(key)[0] for run in runs)] for key in _RESULTS]
        return {
            "labels": _labels(summaries),
            "ids": [run.id for run in runs],
            "differences": config_differences(summaries) if len(runs) > 1 else [],
            "results": [["status", *(summary.status for summary in summaries)], *results],
        }

    def _media(self, kind: str, places: Sequence[Path]) -> list[Json]:
        """Videos or pictures, the newest first, each with its address."""
        found = [
            (file.stat().st_mtime, str(file.relative_to(place / kind)), file)
            for place in places
            for pattern in ("*", "*/*")
            for file in (place / kind).glob(pattern)
            if file.suffix.lower() in _MEDIA[kind] and self._index.folder.contains(file) and file.is_file()
        ]
        newest = sorted(found, reverse=True)[:_MAX_MEDIA]
        return [{"name": name, "address": f"files/{self._index.folder.id_of(file)}"} for _, name, file in newest]

    def _last_messages(self, path: Path) -> list[str]:
        try:
            with self._index.folder.open(path / "messages.log") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            return []


def _newest_first(runs: Sequence[RunSummary]) -> Iterator[RunSummary]:
    """Folders by the time of their runs; within one by name, and the latest first where names are times."""
    folders = [list(group) for _, group in groupby(sort_by_time(runs), lambda run: run.path.parent)]
    for folder in reversed(folders):
        yield from reversed(folder) if _TIMED.match(folder[0].path.name) else folder


def _conditions(text: str) -> Iterator[Condition]:
    """The conditions in what was typed; a word that is none is looked for in paths."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"{text}: a quotation mark is not closed. Add it, or leave it out") from None
    for word in words:
        yield parse_condition(word) if is_condition(word) else Condition("path", "~", (word,))


def _find(snapshot: Snapshot, query: Query, most: int) -> list[IndexedRun]:
    names = list(dict.fromkeys(query.get("id", [])))
    if not 1 <= len(names) <= most:
        raise ConfigError(f"{len(names)} runs were named, where 1 to {most} can be shown. Choose fewer of them")
    if missing := [name for name in names if name not in snapshot.runs]:
        raise ConfigError(f"there is no run {missing[0]}. Go back to the list")
    return [snapshot.runs[name] for name in names]


def _labels(runs: Sequence[RunSummary]) -> list[str]:
    """Names of runs, with their folders where names repeat."""
    labels = [run.name for run in runs]
    if len(set(labels)) == len(labels):
        return labels
    common = os.path.commonpath([run.path.parent for run in runs])
    return [os.path.relpath(run.path, common) for run in runs]


def _one(query: Query, key: str) -> str:
    return query.get(key, [""])[-1]
