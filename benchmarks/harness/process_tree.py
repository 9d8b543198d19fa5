"""A measured command in a session of its own: watched, limited in time, and ended with all the processes it started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from a3c_exp.system.child_process import describe_exit
from benchmarks.harness.environment import ROOT
from benchmarks.harness.interleaved import MeasurementError

TERMINATE_TIMEOUT = 8.0  # seconds between SIGTERM and SIGKILL
HELPER_TIMEOUT = 10.0  # seconds for which helpers (such as W&B's upload process) may outlive the command
DROPPED_VARIABLES = ("PYTHONDONTWRITEBYTECODE",)  # set in many containers: every start would compile the program anew
MAX_QUOTED_OUTPUT = 400  # characters of output that an error message quotes


class ProcessTree:
    """A process and all that it started: its descendants, its session, and processes that were seen to be either before."""

    def __init__(self, root: int) -> None:
        self._members: dict[int, psutil.Process] = {}
        self._sessions = {root}
        self._root = root

    def living(self) -> list[psutil.Process]:
        """The tree's living processes. A helper in a session of its own is found by its parent and then remembered."""
        table = {
            process.pid: process
            for process in psutil.process_iter(["ppid", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
        }
        sessions = {pid: _session(pid) for pid in table}
        # Equal processes have the same start time too: a number may be used again.
        members = {pid for pid, process in table.items() if self._members.get(pid) == process}
        if self._root in table and self._root not in self._members:
            members.add(self._root)
        while True:
            added = {
                pid
                for pid, process in table.items()
                if pid not in members and (process.info["ppid"] in members or sessions[pid] in self._sessions)
            }
            if not added:
                break
            members |= added
            # Only sessions that the tree itself opened: the session's leader is a member.
            self._sessions |= {session for pid in added if (session := sessions[pid]) is not None and session in members}
        self._members |= {pid: table[pid] for pid in members}
        return [table[pid] for pid in sorted(members)]

    def kill(self) -> None:
        """SIGTERM, a few seconds' grace, SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.living():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            deadline = time.monotonic() + TERMINATE_TIMEOUT
            while self.living() and time.monotonic() < deadline:
                time.sleep(0.05)


class MeasuredCommand:
    """A running command. ``started_at`` is the wall clock just before it was started."""

    def __init__(self, arguments: Sequence[str], output: Path, environment: dict[str, str]) -> None:
        self.name = " ".join(["python", *arguments[1:4]])
        self.output = output
        with output.open("wb") as log:
            self.started_at = time.time()
            self._clock = time.perf_counter()
            # A session of its own: Ctrl-C reaches only this program, which then ends the command and all below it.
            self.process = subprocess.Popen(
                list(arguments),
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in DROPPED_VARIABLES} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.tree = ProcessTree(self.process.pid)

    def wait(
        self, timeout: float, interval: float = 1.0, on_poll: Callable[[list[psutil.Process]], None] | None = None
    ) -> float:
        """Wait until the command ends successfully and return the seconds from start to end.

        Args:
            timeout: seconds after which the command counts as hung.
            interval: seconds between two polls of the process tree.
            on_poll: called with the tree's living processes at each poll.

        Raises:
            MeasurementError: the command failed, hung, or left processes behind.
        """
        while True:
            processes = self.tree.living()
            if on_poll is not None:
                on_poll(processes)
            try:
                code = self.process.wait(timeout=interval)
            except subprocess.TimeoutExpired:
                if time.perf_counter() - self._clock > timeout:
                    raise MeasurementError(f"{self.name} ran longer than {timeout:.0f} s") from None
                continue
            seconds = time.perf_counter() - self._clock
            if code != 0:
                hint = ", as happens where memory runs out" if code == -signal.SIGKILL else ""
                raise MeasurementError(f"{self.name} {describe_exit(code)}{hint}: {self._output_tail()}")
            self._wait_for_tree_to_end()
            return seconds

    def _wait_for_tree_to_end(self) -> None:
        deadline = time.monotonic() + HELPER_TIMEOUT
        while remaining := self.tree.living():
            if time.monotonic() > deadline:
                raise MeasurementError(f"{self.name} ended but left {len(remaining)} processes behind")
            time.sleep(0.1)

    def _output_tail(self) -> str:
        text = " ".join(self.output.read_text(errors="replace").split())
        return f"... {text[-MAX_QUOTED_OUTPUT:]}" if len(text) > MAX_QUOTED_OUTPUT else text or "no output"


@contextmanager
def run_command(arguments: Sequence[str], output: Path, environment: dict[str, str] | None = None) -> Iterator[MeasuredCommand]:
    """Start a command; after the block none of its processes is left."""
    command = MeasuredCommand(arguments, output, environment or {})
    try:
        yield command
    finally:
        with _ignore_signals():
            command.tree.kill()
            command.process.wait()


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the cleanup after the first."""
    handlers = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def pss_bytes(processes: Sequence[psutil.Process]) -> int:
    """Proportional set size of several processes: a page that n processes share counts 1/n for each.

    Raises:
        MeasurementError: the system does not report it (it needs Linux).
    """
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):  # it ended since it was seen
            memory = process.memory_full_info()
            if not hasattr(memory, "pss"):
                raise MeasurementError("needs the proportional set size of processes (Linux)")
            total += memory.pss
    return total


def cpu_seconds(processes: Sequence[psutil.Process]) -> dict[int, float]:
    """Processor time that each process has used, in user and in kernel mode."""
    seconds = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
    return seconds


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
