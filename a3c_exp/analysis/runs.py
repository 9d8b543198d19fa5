"""Finding run directories and reading them, whatever state they were left in. No torch here."""

import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from a3c_exp.analysis.reading import Columns, FloatArray, mapping, read_columns, read_json_object, read_yaml, strings
from a3c_exp.core.errors import RunDirectoryError
from a3c_exp.core.records import Episode, Evaluation, Json, Metrics, Status

RunStatus = Status | Literal["killed", "unknown"]

RUN_DIRECTORY = "a run directory is a folder with a run.json, made by `python -m a3c_exp ...`"
_SILENT_AFTER = 3600.0  # seconds without a write after which a run that says `running` is doubted
_SEED_FOLDER = re.compile(r"seed=[0-9]{1,20}")
_EACH_WORKER = ("worker_steps_per_second", "worker_updates_per_second")
_LIVE_FILES = ("episodes.jsonl", "metrics.jsonl", "evaluations.jsonl", "run.json")


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory, read.

    Attributes:
        path: the directory.
        status: as in ``run.json``; ``killed`` if that says ``running`` but its process is gone; ``unknown`` if it
            cannot be read.
        name, group: as in ``run.json``; ``name`` falls back on the folder's.
        config: ``.hydra/config.yaml`` as written, interpolations unresolved; empty if it cannot be read.
        overrides: what was typed on the command line, such as ``workers=4``.
        run_json: the whole of ``run.json``, or empty.
        summary: ``summary.json``; ``None`` if there is none, or if it is that of an earlier session.
        episodes, metrics, evaluations: the columns of the ``.jsonl`` files by field name, each [lines]; the fields of
            the records in ``core.records`` are always there, ``return`` under its name in the file. Beside them stand
            ``<field>.low``, ``.mean`` and ``.high`` of what is one number a worker, and ``value.low`` and ``value.high``:
            the mean of V(s) less and plus its standard deviation.
        problems: what is missing or damaged, one short sentence each.
        together: how many seeds shared its process, itself included: its speed is but a share of that process's.
    """

    path: Path
    status: RunStatus
    name: str
    group: str | None
    config: Json
    overrides: tuple[str, ...]
    run_json: Json
    summary: Json | None
    episodes: Columns
    metrics: Columns
    evaluations: Columns
    problems: tuple[str, ...] = ()
    together: int = 1

    @property
    def seed(self) -> str:
        """The seed as text; ``?`` if neither the configuration nor ``run.json`` has one."""
        value = self.config.get("seed", self.run_json.get("seed"))
        return "?" if value is None else str(value)

    @property
    def reason(self) -> str:
        """Why it ended, in the run's own words; empty if it did not say."""
        for source in (self.run_json, self.summary or {}):
            if source.get("reason"):
                return str(source["reason"])
        return "its process is gone and left no reason" if self.status == "killed" else ""


def find_runs(paths: Iterable[Path | str]) -> list[Path]:
    """All run directories at or below ``paths``, each once, in natural order (``workers=4`` before ``workers=12``).

    A folder of several seeds that trained together stands for the run directories of its seeds; one that is missing is
    among them all the same, to be missed by whoever reads it.

    Raises:
        RunDirectoryError: a path is not a directory, or there is no run directory at or below it.
    """
    found: dict[Path, Path] = {}  # resolved: as it was named first
    for path in map(Path, paths):
        if not path.is_dir():
            what = "is a file, not a directory" if path.exists() else "no such directory"
            raise RunDirectoryError(f"{path}: {what}; {RUN_DIRECTORY}")
        below = list(_walk(path))
        if not below:
            raise RunDirectoryError(f"{path}: no runs found here or below; {RUN_DIRECTORY}")
        for directory in below:
            found.setdefault(directory.resolve(), directory)
    return sorted(found.values(), key=lambda directory: natural(str(directory)))


def read_runs(paths: Iterable[Path | str]) -> list[Run]:
    """``find_runs``, read. Raises RunDirectoryError as it does; a damaged run never raises."""
    return [read_run(path) for path in find_runs(paths)]


def read_run(path: Path) -> Run:
    """Read one run directory. Never raises for what is in it: see ``Run.problems``."""
    problems: list[str] = []
    run_json = read_json_object(path / "run.json", problems) or {}
    status = _status(path, run_json, problems)
    live = status in ("running", "killed")
    summary = read_json_object(path / "summary.json", problems, required=not live)
    if summary is not None and live:
        problems.append("summary.json is an earlier session's and not used")
        summary = None
    evaluated = summary is None or bool(summary.get("evaluation"))
    config = read_yaml(path / ".hydra" / "config.yaml", problems)
    if config is not None and not isinstance(config, dict):
        problems.append("config.yaml is damaged: not a mapping")
    overrides = strings(run_json.get("overrides"))
    if not overrides:
        overrides = strings(read_yaml(path / ".hydra" / "overrides.yaml", problems, required=False))
    group = run_json.get("group")
    metrics = read_columns(path / "metrics.jsonl", _names(Metrics), problems, lists=_EACH_WORKER)
    place = path.resolve()
    siblings = seeds_of(place.parent)
    return Run(
        path=path,
        status=status,
        name=str(run_json.get("name") or path.resolve().name),
        group=str(group) if group else None,
        config=mapping(config),
        overrides=overrides,
        run_json=run_json,
        summary=summary,
        episodes=read_columns(path / "episodes.jsonl", _names(Episode), problems),
        metrics={**metrics, **_value_scale(metrics)},
        evaluations=read_columns(path / "evaluations.jsonl", _names(Evaluation), problems, required=evaluated),
        problems=tuple(problems),
        together=len(siblings) if place in siblings else 1,
    )


def seeds_of(path: Path) -> list[Path]:
    """The run directories inside ``path`` if that is a folder of several seeds, as its ``run.json`` lists them; else none."""
    if not (path / "run.json").is_file():
        return []
    names = strings((read_json_object(path / "run.json", []) or {}).get("seeds"))
    # Any other name was not written by a run, and may lead anywhere.
    return [path / name for name in names] if all(map(_SEED_FOLDER.fullmatch, names)) else []


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """A sort key under which numbers inside text count as numbers: ``workers=4`` before ``workers=12``."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return tuple((1, float(part), "") if index % 2 else (0, 0.0, part) for index, part in enumerate(parts))


def _walk(root: Path) -> Iterable[Path]:
    for directory, below, names in os.walk(root):
        if "run.json" in names:
            below.clear()  # whatever lies inside a run belongs to it
            yield from seeds_of(Path(directory)) or [Path(directory)]
        else:
            below[:] = sorted(name for name in below if not name.startswith("."))


def _names(record: type[Episode] | type[Metrics] | type[Evaluation]) -> list[str]:
    others = ("end", "returns", *_EACH_WORKER)
    return [field.name.rstrip("_") for field in fields(record) if field.name not in others]


def _value_scale(metrics: Columns) -> dict[str, FloatArray]:
    mean, deviation = metrics["value_mean"], metrics["value_std"]
    with np.errstate(invalid="ignore"):  # a run that diverged has infinities
        return {"value.low": mean - deviation, "value.high": mean + deviation}


def _status(path: Path, run_json: Json, problems: list[str]) -> RunStatus:
    said = run_json.get("status")
    if said in ("finished", "interrupted", "pruned", "failed"):
        status: RunStatus = said
        return status
    if said != "running":
        if run_json:
            problems.append(f"run.json has no known status: {said!r}")
        return "unknown"
    here = _host(run_json) in (socket.gethostname(), None)
    pid = run_json.get("pid")
    if here and isinstance(pid, int) and not _alive(pid):
        return "killed"
    silent = time.time() - max((_modified(path / name) for name in _LIVE_FILES), default=0.0)
    if silent > _SILENT_AFTER:
        where = "" if here else f" on {_host(run_json)}"
        problems.append(f"says it is running{where}, but wrote nothing for {silent / 3600:.1f} h: was it killed?")
    return "running"


def _host(run_json: Json) -> str | None:
    host = run_json.get("host") or mapping(run_json.get("machine")).get("host")
    return str(host) if host else None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # there is such a process; it is someone else's
    except (OSError, OverflowError):
        return False
    return True


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
