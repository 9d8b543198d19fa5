"""The complete log: every event of a run as a line of a file in its run directory, with any other loggers too."""

import hashlib
import json
import math
import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.runs.lease.locking import confirm_lease
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status
from a3c_exp.runs.tolerant_io import number, parse_object, read_json_lines
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import LeaseLost, RunDirectoryError, explain_os_error

EPISODES = "episodes.jsonl"
METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
MESSAGES = "messages.log"


class JsonlLogger(Logger):
    """Appends to ``episodes.jsonl``, ``metrics.jsonl``, ``evaluations.jsonl`` and ``messages.log``.

    Each line is one system call, so a killed process loses at most the line that it was writing. This is the only logger that
    raises: a run without its log is worthless, so a full disk stops it (``RunDirectoryError``), with earlier lines intact.
    """

    def __init__(self) -> None:
        self._writers: dict[str, _LineWriter] = {}

    def start(self, run: RunInfo) -> None:
        run.directory.mkdir(parents=True, exist_ok=True)
        for name in (EPISODES, METRICS, EVALUATIONS):
            if _has_partial_last_line(run.directory / name):  # the first line of this session would be appended to it
                _discard_lines(run.directory / name)
        for name in (EPISODES, METRICS, EVALUATIONS, MESSAGES):
            self._writers[name] = _LineWriter(run.directory / name)

    def episode(self, episode: EpisodeRecord) -> None:
        self._writers[EPISODES].append(json_line(episode.to_dict()))

    def metrics(self, metrics: MetricsRecord) -> None:
        self._writers[METRICS].append(json_line(metrics.to_dict()))

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._writers[EVALUATIONS].append(json_line(evaluation.to_dict()))

    def message(self, text: str) -> None:
        if MESSAGES not in self._writers:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = f"{stamp} {text.rstrip()}".replace("\n", "\n    ") + "\n"
        with suppress(RunDirectoryError, LeaseLost):  # the message may be about a full disk, and reaches the console anyway
            self._writers[MESSAGES].append(line.encode("utf-8", "replace"))

    def sync(self) -> None:
        for name, lines in self._writers.items():
            if name != MESSAGES:
                lines.sync()

    def finish(self, status: Status, summary: JsonObject) -> None:
        while self._writers:
            self._writers.popitem()[1].close()


def truncate_after(directory: Path, *, episodes: int, env_step: int, evaluated: int | None = None) -> dict[str, int]:
    """Remove what was written after a checkpoint, for the session that resumes from it; returns how many lines of each file.

    Lines beyond the checkpoint's ``episodes`` or ``env_step`` (evaluations: ``evaluated``), and incomplete lines, are moved to
    ``<name>.discarded.jsonl`` beside it; each line ends in exactly one of both, even if this is interrupted and called again.
    """
    last_evaluation = env_step if evaluated is None else evaluated
    limits = {EPISODES: ("episode", episodes), METRICS: ("env_step", env_step), EVALUATIONS: ("env_step", last_evaluation)}
    return {name: _discard_lines(directory / name, *limit) for name, limit in limits.items()}


def json_line(record: JsonObject) -> bytes:
    """One JSON object and a newline. JSON knows no NaN and no infinity: they become ``null``."""
    try:
        text = json.dumps(record, allow_nan=False, default=_to_builtin)
    except ValueError:  # rare, so usual lines are not searched for it
        text = json.dumps(json.loads(json.dumps(record, default=_to_builtin), parse_constant=lambda _: None))
    return text.encode() + b"\n"


def _to_builtin(value: Any) -> Any:
    """A numpy or torch scalar, an array or a path, as a built-in type."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def evaluations_until(directory: Path, env_step: int) -> list[EvaluationRecord]:
    """The evaluations of a run up to ``env_step``, from its log; unreadable lines are skipped."""
    evaluations = []
    for line in read_json_lines(directory / EVALUATIONS):
        with suppress(TypeError):
            evaluations.append(EvaluationRecord(**line))
    return [evaluation for evaluation in evaluations if evaluation.env_step <= env_step]


def missing_episodes(directory: Path, episodes: int) -> int:
    """How many of a run's first ``episodes`` training episodes its log lacks, as after a power failure."""
    numbers = {number(line.get("episode")) for line in read_json_lines(directory / EPISODES)}
    return sum(episode not in numbers for episode in range(1, episodes + 1))


def recent_returns(directory: Path, episodes: int, count: int) -> list[float]:
    """The returns of the last ``count`` of a run's first ``episodes`` training episodes, from its log."""
    lines = (line for line in read_json_lines(directory / EPISODES) if number(line.get("episode")) <= episodes)
    returns = (number(line.get("return")) for line in lines)
    return list(deque((value for value in returns if value == value), maxlen=count))


def episodes_digest(directory: Path) -> str | None:
    """SHA-256 of a run's episode log without its wall times, the same for equal runs; ``None`` if it cannot be read."""
    hasher = hashlib.sha256()
    try:
        with (directory / EPISODES).open("rb") as file:
            for line in file:
                record = json.loads(line)
                record.pop("wall_time", None)
                hasher.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    except (OSError, ValueError, AttributeError):
        return None
    return hasher.hexdigest()


class _LineWriter:
    """A file that grows by complete lines only."""

    def __init__(self, path: Path) -> None:
        self._path, self._directory = path, path.parent
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._file).st_size

    def append(self, line: bytes) -> None:
        confirm_lease(self._directory)
        try:
            rest = line
            while rest := rest[os.write(self._file, rest) :]:  # once, unless the disk is nearly full
                pass
        except OSError as error:
            os.ftruncate(self._file, self._size)  # an incomplete line would make the next one unreadable too
            raise RunDirectoryError(
                f"cannot write to {explain_os_error(error, self._path)}. Earlier lines are intact. Then go on from the last "
                "checkpoint: resume=RUN_DIR"
            ) from error
        self._size += len(line)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _has_partial_last_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # no file yet, or an empty one
        return False


def _discard_lines(path: Path, key: str = "", limit: float = math.inf) -> int:
    """Move incomplete lines, and those whose ``key`` is beyond the limit, to the discarded file; returns how many."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    kept, discarded = list[bytes](), list[bytes]()
    for line in filter(None, content.split(b"\n")):
        record = parse_object(line)  # None: incomplete, or not even text
        keep = record is not None and (not key or number(record.get(key)) <= limit)
        (kept if keep else discarded).append(line + b"\n")
    remaining, removed = b"".join(kept), b"".join(discarded)
    if remaining == content:
        return 0
    if removed:
        target = path.with_name(f"{path.stem}.discarded{path.suffix}")
        before = target.read_bytes() if target.exists() else b""
        if not before.endswith(removed):  # an interrupted call may have written the lines here without removing them there
            write_atomically(target, before + removed)
    write_atomically(path, remaining)
    return len(discarded)
