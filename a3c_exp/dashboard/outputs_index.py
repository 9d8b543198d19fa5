"""What lies in the folder of runs: an index in memory, of which only that is read again which has changed."""

import html
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from a3c_exp.dashboard.outputs_folder import OutputsFolder
from a3c_exp.report.report_files import MARKER
from a3c_exp.runs.format_table import Terminal
from a3c_exp.runs.listing import format_cell
from a3c_exp.runs.run_directories import listed_seed_directories, walk_folders
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.status import run_status
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.runs.sweep_plan import SWEEP_FILE
from a3c_exp.runs.tolerant_io import number, parse_object, read_text
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import typographic

COLUMNS = (
    "status", "env", "parallelism", "workers", "seed", "env_steps", "moving_average", "evaluation", "wall_time", "created",
)  # fmt: skip
"""The columns of the list of runs, behind their names."""

_REFRESH_SECONDS = 1.0  # however many pages ask
_MAX_SHARE = 0.05  # of a processor that looking for changes may take: trainings need it more
_WATCHED = ("run.json", "summary.json", "episodes.jsonl", "metrics.jsonl", "evaluations.jsonl")
_WATCHED_OF_ENDED = _WATCHED[:2]  # who goes on with a run says so there first
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_HEAD_BYTES = 20_000  # of a page: its marker, the list of its files and its title
_WIDE = Terminal(width=200)
Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(eq=False)
class IndexedRun:
    """A run, and what a list says of it."""

    id: str  #: in addresses
    summary: RunSummary
    signature: Signature  #: of its files, by which a change is noticed
    version: int  #: of the index when it last changed

    @cached_property
    def cells(self) -> dict[str, list[Any]]:
        """``[text, value to sort by]`` of each of ``COLUMNS``."""
        return {key: self.cell(key) for key in COLUMNS}

    def cell(self, key: str) -> list[Any]:
        """The same of any key of a run."""
        text, value = format_cell(self.summary, key, _WIDE).text, number(self.summary.value(key))
        return [typographic(text) if key not in ("created", "seed") else text, value if value - value == 0 else text]


@dataclass(frozen=True)
class Snapshot:
    """What there is at one time; ``version`` grows whenever any of it changes."""

    version: int = 0
    runs: Mapping[str, IndexedRun] = field(default_factory=dict)
    sweeps: Mapping[str, Path] = field(default_factory=dict)
    studies: Mapping[str, Path] = field(default_factory=dict)
    reports: Mapping[str, "ReportPage"] = field(default_factory=dict)
    left_out: int = 0  #: runs of which a file is a link that leads out of the folder

    def below(self, id: str) -> list[IndexedRun]:
        """The runs in a folder or below it."""
        return [run for key, run in self.runs.items() if id in ("", ".") or key == id or key.startswith(f"{id}/")]

    def report_of(self, id: str) -> str | None:
        """The report that lies where ``a3c_exp.report`` writes that of a folder; ``None`` without one."""
        report = f"{id}/report" if id != "." else "report"
        return report if report in self.reports else None


@dataclass(frozen=True)
class ReportPage:
    """A page that ``a3c_exp.report`` made."""

    title: str
    made: float  #: seconds since 1970


class OutputsIndex:
    """The index of a folder. Asking for it walks the folder at most once a second, less often where that takes long; nothing
    happens while nobody asks."""

    def __init__(self, root: Path) -> None:
        self.folder = OutputsFolder(root)
        self._lock = Lock()
        self._snapshot = Snapshot()
        self._seen: dict[Path, IndexedRun | None] = {}  # ``None``: left out
        self._seeds: dict[Path, tuple[Signature, list[Path]]] = {}
        self._pages: dict[Path, tuple[Signature, ReportPage | None]] = {}
        self._next_reading = 0.0

    def require_something(self) -> None:
        """Raises ConfigError for a folder that is none, or that holds nothing to show."""
        root = self.folder.root
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "there is no such folder"
            raise ConfigError(f"{root}: {what}. Name a folder of runs: python -m a3c_exp.dashboard outputs")
        found = self.snapshot()
        if not (found.runs or found.sweeps or found.studies or found.reports):
            left_out = f" but {found.left_out} that are links out of it" if found.left_out else ""
            raise ConfigError(f"{root}: no runs here or below{left_out}. Start one first, or name another folder of runs")

    def snapshot(self) -> Snapshot:
        """What there is now, or was a second ago."""
        with self._lock:
            if (begun := time.monotonic()) >= self._next_reading:
                self._snapshot = self._read()
                ended = time.monotonic()
                self._next_reading = ended + max(_REFRESH_SECONDS, (ended - begun) / _MAX_SHARE)
            return self._snapshot

    def _read(self) -> Snapshot:
        before = self._snapshot
        version = before.version + 1
        runs: dict[str, IndexedRun] = {}
        seen: dict[Path, IndexedRun | None] = {}
        sweeps, studies, reports = dict[str, Path](), dict[str, Path](), dict[str, ReportPage]()
        for path, below, names in walk_folders(self.folder.root):
            if "run.json" in names:
                for place in self._runs_of(path):
                    seen[place] = run = self._run(place, version)
                    if run is not None:
                        runs[run.id] = run
                self._note_report(path / "report", reports if "report" in below else {})
                continue
            if SWEEP_FILE in names and self.folder.contains(path / SWEEP_FILE):
                sweeps[self.folder.id_of(path)] = path
            if STUDY_FILE in names and self.folder.contains(path / STUDY_FILE):
                studies[self.folder.id_of(path)] = path
            if "index.html" in names:
                self._note_report(path, reports)
        self._seen = seen
        left_out = sum(run is None for run in seen.values())
        changed = any(run.version == version for run in runs.values()) or runs.keys() != before.runs.keys()
        others = (sweeps, studies, reports, left_out)
        if not changed and others == (before.sweeps, before.studies, before.reports, before.left_out):
            return before
        return Snapshot(version, runs, *others)

    def _runs_of(self, path: Path) -> Iterable[Path]:
        """The run in a folder, or those of its seeds."""
        signature = _signature(path, ("run.json",))
        known = self._seeds.get(path)
        if known is None or known[0] != signature:
            own = self.folder.is_readable_run(path)
            text = read_text(path / "run.json", []) if own else ""
            self._seeds[path] = known = (signature, listed_seed_directories(path, text))
        return known[1] or [path]

    def _run(self, path: Path, version: int) -> IndexedRun | None:
        """The run at ``path``, read anew if its files or its status have changed; ``None`` if it is to be left out."""
        known = self._seen.get(path)
        if known is not None and _is_current(known):
            return known
        if not self.folder.is_readable_run(path):
            return None
        return IndexedRun(self.folder.id_of(path), RunSummary(path), _signature(path, _WATCHED), version)

    def _note_report(self, path: Path, reports: dict[str, ReportPage]) -> None:
        signature = _signature(path, ("index.html",))
        known = self._pages.get(path)
        if known is None or known[0] != signature:
            self._pages[path] = known = (signature, self._read_page(path / "index.html"))
        if known[1] is not None:
            reports[self.folder.id_of(path)] = known[1]

    def _read_page(self, path: Path) -> ReportPage | None:
        try:
            with self.folder.open(path) as file:
                head, made = file.read(_HEAD_BYTES).decode(errors="replace"), os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        title = _TITLE.search(head)
        return ReportPage(html.unescape(title[1]) if title else path.parent.name, made) if MARKER in head else None


def _is_current(run: IndexedRun) -> bool:
    """Whether a run's files are those that were read, and its process, if it should have one, is as it was."""
    path, status = run.summary.path, run.summary.status
    ended = status in ("finished", "interrupted", "pruned", "failed")
    watched = _WATCHED_OF_ENDED if ended else _WATCHED
    if run.signature[: len(watched)] != _signature(path, watched):
        return False
    return ended or run_status(path, parse_object(read_text(path / "run.json", [])) or {}, []) == status


def _signature(path: Path, names: Iterable[str]) -> Signature:
    """Time, size and number of each file; ``None`` for one that is not there."""
    found: list[tuple[int, int, int] | None] = []
    for name in names:
        try:
            status = os.stat(f"{path}/{name}")  # noqa: PTH116 - of thousands of files every few seconds
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
