"""``run.json``: which code, versions, machine, seed and command made a run, and how it ended."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.lease.locking import confirm_lease
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.status import FORMAT, require_format
from a3c_exp.runs.tolerant_io import read_json_object
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.cli import command
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.system.machine import git_commit, git_output, machine_info, package_versions
from a3c_exp.system.process_identity import process_start_time

_PACKAGES = ("a3c_exp", "torch", "numpy", "gymnasium", "hydra-core", "omegaconf", "optuna", "wandb")
_MAX_DIFF_LENGTH = 5_000_000


class RunRecord:
    """The record of one run directory, whose run.json is rewritten atomically at every change of its ``content``."""

    def __init__(self, directory: Path, content: dict[str, Any]) -> None:
        self.directory = directory
        self.content = content
        self._start_time = time.monotonic()

    @classmethod
    def create(cls, directory: Path, **fields: Any) -> "RunRecord":
        """Take a directory, which is there, for a new run; only one process can. Raises RunDirectoryError if it holds a run."""
        created = now()
        content = {
            "format": FORMAT,
            "status": "running",
            "reason": None,
            **fields,
            **environment_info(),
            "timings": {"created": created, "started": None, "first_env_step": None, "ended": None, "seconds": None},
            "sessions": [_new_session(created, 0)],
        }
        try:
            with (directory / "run.json").open("x") as file:
                json.dump(content, file, indent=2)
        except FileExistsError:
            raise already_a_run(directory) from None
        record = cls(directory, content)
        record._save_diff()
        return record

    @classmethod
    def of_stopped_run(cls, directory: Path) -> "RunRecord":
        """The record of a run to go on with, which is locked; writes nothing. Raises RunDirectoryError if there is none."""
        return cls(directory, load(directory))

    def begin_session(self, from_env_step: int, missing_episodes: int, changed: Mapping[str, Sequence[Any]]) -> None:
        """Record that this process goes on from a checkpoint, and how many episodes before that the log lacks. ``changed`` has
        ``[before, after]`` of each key that has another value from now on; ``overrides`` says so too."""
        kept = [text for text in self.content["overrides"] if text.lstrip("+~").partition("=")[0] not in changed]
        overrides = [*kept, *(f"{key}={as_text(after)}" for key, (_, after) in changed.items())]
        self.content.update(status="running", reason=None, overrides=overrides, **environment_info())
        session = _new_session(now(), from_env_step)
        self.content["sessions"].append(session | {"missing_episodes": missing_episodes, "changed": changed})
        self._save_diff()
        self._write()

    def mark(self, timing: str) -> None:
        """Record the time of ``started`` or ``first_env_step``, the first time it happens."""
        if self.content["timings"][timing] is None:
            self.content["timings"][timing] = now()
            self._write()

    def close(self, status: Status, reason: str | None) -> None:
        """Record how the run ended."""
        timings, ended = self.content["timings"], now()
        timings["ended"] = ended
        timings["seconds"] = (timings["seconds"] or 0.0) + time.monotonic() - self._start_time
        self.content["sessions"][-1].update(ended=ended, status=status)
        self.content.update(status=status, reason=reason)
        self._write()

    def _write(self) -> None:
        confirm_lease(self.directory)
        write_json(self.directory / "run.json", self.content)

    def _save_diff(self) -> None:
        if difference := git_output("diff", "HEAD"):
            number = len(self.content["sessions"])
            name = "code.diff" if number == 1 else f"code.{number}.diff"
            (self.directory / name).write_text(difference[:_MAX_DIFF_LENGTH])


def _new_session(started: str, from_env_step: int) -> dict[str, Any]:
    session = {"started": started, "ended": None, "status": "running", "command": command(), "from_env_step": from_env_step}
    if job := os.environ.get("SLURM_JOB_ID"):
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        session["slurm_job"] = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else job
    return session


def load(directory: Path) -> dict[str, Any]:
    """The content of a directory's run.json. Raises RunDirectoryError if it cannot be read or is of another format."""
    problems: list[str] = []
    content = read_json_object(directory / "run.json", problems)
    if not (directory / "run.json").exists():
        raise no_run_directory(directory, "run.json")
    if content is None:
        raise RunDirectoryError(f"{directory} cannot be read: {problems[0]}. Mend the file, or start a new run")
    require_format(directory, content)
    return dict(content)


def no_run_directory(directory: Path, lacks: str) -> RunDirectoryError:
    """The error for a directory without a run; it names the newest run in it, or else of those in outputs/."""
    runs = [*directory.glob("*/run.json")] or [*Path("outputs").glob("*/*/run.json")]
    newest = max(runs, key=lambda path: path.stat().st_mtime, default=None)
    hint = f". The newest run {'in it' if directory in newest.parents else 'here'} is {newest.parent}" if newest else ""
    return RunDirectoryError(f"{directory} is no run directory: it holds no {lacks}{hint}")


def already_a_run(directory: Path) -> RunDirectoryError:
    """The error for a new run in the directory of another."""
    return RunDirectoryError(f"{directory} already holds a run. Go on by resume={directory} or choose another hydra.run.dir")


def directories_of(directory: Path) -> list[Path]:
    """The run directory, and those of its seeds if it has several. Raises RunDirectoryError if there is no run."""
    seeds = [directory / seed for seed in load(directory).get("seeds") or ()]
    return [directory, *(seed for seed in seeds if seed.is_dir())]


def mark_dead_run(directory: Path, pid: int, status: Status, reason: str) -> None:
    """Record the end of a run, and of its seeds' runs, for the process ``pid``, which died at it; other records are left."""
    with contextlib.suppress(OSError, RunDirectoryError):
        content = load(directory)
        for seed in content.get("seeds") or ():
            mark_dead_run(directory / seed, pid, status, reason)
        if content["status"] != "running" or content["pid"] != pid:
            return
        record = RunRecord(directory, content)
        began = datetime.fromisoformat(content["sessions"][-1]["started"])
        record._start_time -= (datetime.now(began.tzinfo) - began).total_seconds()
        record.close(status, reason)
        if not (directory / "summary.json").exists():
            write_json(directory / "summary.json", {"status": status, "reason": reason})


def environment_info() -> dict[str, Any]:
    """Which process, code, versions and machine this is."""
    return {
        "pid": os.getpid(),
        "pid_started": process_start_time(os.getpid()),
        "host": socket.gethostname(),
        "git": git_commit(),
        "versions": package_versions(_PACKAGES),
        "machine": machine_info(),
    }


def now() -> str:
    """The time in ISO 8601, with the zone."""
    return datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S.%f%z")
