"""The inside of a Ray actor: it hosts the process of one job on its node, and gives the launcher what that says.

The launcher asks all the time. If it has not asked for ``silence_timeout`` seconds, it is gone, or the network is: the launcher
will have the job go on elsewhere, so here it is asked to save a checkpoint and end.
"""

import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from a3c_exp.sweep.launcher.job import JobEnded, JobSpec
from a3c_exp.sweep.launcher.job_process import PRELOAD, STOP_TIMEOUT, JobProcess
from a3c_exp.sweep.ray_launcher.run_files import Files, read_changed, write_files
from a3c_exp.system.child_process import HEARTBEAT_SECONDS, Heartbeat, HeartbeatTimer
from a3c_exp.system.ray.cluster import other_version

_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class HostSpec:
    """What an actor is given."""

    job: JobSpec
    directory: str  # of the run
    versions: Mapping[str, str | None]  # of the packages that must be the same, where the launcher runs
    marker: str  # a file beside the directory that the launcher has just made, and what it holds: who sees it shares the disk
    token: str
    shared: bool  # whether all nodes are said to share that disk; else files are brought back from those that do not
    files: Files  # what the directory holds, for those
    silence_timeout: float
    heartbeat_timeout: float


@dataclass
class HostReport:
    """What has happened since the launcher last asked."""

    node: str
    pid: int
    lines: list[str] = field(default_factory=list)  # that the job has printed
    messages: list[Any] = field(default_factory=list)
    files: Files = field(default_factory=dict)  # of the run directory, if that is not shared
    cause: str | None = None  # how the process ended
    abandoned: bool = False  # it ended because the launcher was silent


class JobHost:
    """One job's process."""

    def __init__(self, spec: HostSpec) -> None:
        self._spec, self._changed = spec, threading.Condition()
        self._report = HostReport(socket.gethostname(), 0)
        self._asked, self._beat, self._stopped = time.monotonic(), 0.0, 0.0
        self._timer = HeartbeatTimer(spec.heartbeat_timeout)
        self._copied: dict[str, tuple[int, int]] = {}
        self._shares_disk = _content(spec.marker) == spec.token
        if (refusal := self._refusal()) is not None:
            self._report.cause = refusal
            return
        if not self._shares_disk:
            Path(spec.job.working_directory).mkdir(parents=True, exist_ok=True)
            write_files(spec.directory, spec.files)
            read_changed(spec.directory, self._copied)
        start_fork_server((*PRELOAD, spec.job.task_function[0]))
        self._process = JobProcess(spec.job)
        self._report.pid = self._process.pid
        threading.Thread(target=self._watch, name="job", daemon=True).start()

    def start(self) -> None:
        """Start the job, which is ready."""
        self._process.send(True)

    def poll(self) -> HostReport:
        """What is new; waits a second for something."""
        with self._changed:
            self._asked = time.monotonic()
            report = self._report
            if not (report.lines or report.messages or report.cause):
                self._changed.wait(_WAIT_SECONDS)
            self._report = HostReport(report.node, report.pid, cause=report.cause, abandoned=report.abandoned)
            self._asked = time.monotonic()
            return report

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def _refusal(self) -> str | None:
        if (other := other_version(self._spec.versions)) is not None:
            return f"was not started: {other}"
        if self._spec.shared and not self._shares_disk:
            folder = Path(self._spec.directory).parent
            return (
                f"was not started: {socket.gethostname()} does not see the launcher's {folder}. Put it on a disk that all "
                "nodes have under the same path, or try hydra.launcher.shared=false"
            )
        return None

    def _watch(self) -> None:
        process = self._process
        while self._report.cause is None:
            wait(process.waitables, _WAIT_SECONDS)
            self._timer.check()
            cause = process.cause_of_death(self._timer)  # before the last of its words are read
            with self._changed:
                self._read(cause is not None)
                self._report.cause = cause
                if self._report.lines or self._report.messages or cause:
                    self._changed.notify_all()
            self._end_if_abandoned()
        process.close()

    def _read(self, at_end: bool) -> None:
        messages = list(self._process.messages())
        if self._stopped:  # it goes on elsewhere, and how it ended here is no result
            messages = [message for message in messages if not isinstance(message, JobEnded)]
            self._report.abandoned = True
        self._report.messages += messages
        self._report.lines += self._process.output_lines(at_end)
        if not self._shares_disk:
            self._report.files |= read_changed(self._spec.directory, self._copied, everything=at_end)

    def _end_if_abandoned(self) -> None:
        now = time.monotonic()
        if now - self._beat > HEARTBEAT_SECONDS:
            self._beat = now
            self._process.send(Heartbeat())
        if not self._stopped and now - self._asked > self._spec.silence_timeout:
            self._stopped = now
            self._process.send_signal(signal.SIGTERM)
        elif self._stopped and now - self._stopped > STOP_TIMEOUT:
            self._process.kill()


def _content(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None
