"""How a run stands: the format it is written in, what it says of itself, and whether its process is still there."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from a3c_exp.runs.lease.holder import LEASE, LEASE_SECONDS
from a3c_exp.runs.log_records import JsonObject, Status
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.system.process_identity import is_same_process

FORMAT = 2  # of what a run writes: run directories, checkpoints, exported weights, studies
_LAST_READER = {1: "f51536f"}  # of each earlier format: the last commit that reads it

RunStatus = Status | Literal["killed", "unknown"]
_ENDED = ("finished", "interrupted", "pruned", "failed")
STATUSES: tuple[RunStatus, ...] = ("finished", "running", "interrupted", "pruned", "failed", "killed", "unknown")

_HEARTBEAT_TIMEOUT = 3600.0  # seconds without a write after which a run that says `running` is doubted
_LEASE_TIMEOUT = 10 * LEASE_SECONDS  # by this machine's clock, which may not be quite that of the other
_HEARTBEAT_FILES = (LEASE, "episodes.jsonl", "metrics.jsonl", "evaluations.jsonl", "run.json")


def run_status(path: Path, run_json: JsonObject, problems: list[str]) -> RunStatus:
    """The status of the run at ``path`` that wrote ``run_json``; doubts about it go to ``problems``. ``killed``: it calls
    itself running, but its process on this machine is gone, or the lease of another one ran out long ago; ``unknown``: it says
    nothing that can be read."""
    if run_json and (problem := format_problem(run_json)):
        problems.append(problem)
    said = run_json.get("status")
    if said != "running":
        if run_json and said not in _ENDED:
            problems.append(f"run.json has no known status: {said!r}")
        return said if said in _ENDED else "unknown"
    import socket  # of most lists no run asks for it, and it takes as long as twenty runs

    here = _host(run_json) in (socket.gethostname(), None)
    pid = run_json.get("pid")
    if here and isinstance(pid, int) and not is_same_process(pid, run_json.get("pid_started")):
        return "killed"
    if not here and (lease := path / LEASE).exists() and time.time() - lease.stat().st_mtime > _LEASE_TIMEOUT:
        return "killed"
    written = [(path / name).stat().st_mtime for name in _HEARTBEAT_FILES if (path / name).exists()]
    silent = time.time() - max(written, default=0.0)
    if silent > _HEARTBEAT_TIMEOUT:
        where = "" if here else f" on {_host(run_json)}"
        problems.append(f"says it is running{where}, but wrote nothing for {silent / 3600:.1f} h: was it killed?")
    return "running"


def _host(run_json: JsonObject) -> str | None:
    host = run_json.get("host") or mapping(run_json.get("machine")).get("host")
    return str(host) if host else None


def format_problem(content: Mapping[str, Any]) -> str | None:
    """Why something that was written with this ``format`` cannot be used; ``None`` if it can."""
    found = content.get("format")
    if found == FORMAT:
        return None
    if isinstance(found, int) and found > FORMAT:
        return f"was written by a newer a3c_exp (format {found}, this version reads {FORMAT}). Update a3c_exp"
    reader = _LAST_READER.get(found if isinstance(found, int) else 1, _LAST_READER[1])
    return f"was written by an older a3c_exp, which this version does not read. Commit {reader} does: git checkout {reader}"


def require_format(path: Path, content: Mapping[str, Any]) -> None:
    """Raises RunDirectoryError for what was written in another format, saying which commit reads it."""
    if problem := format_problem(content):
        raise RunDirectoryError(f"{path} {problem}")
