"""A measured command in a session of its own: watched, limited in time, and gone afterwards with all it started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.machine import ROOT

PROC = Path("/proc")
TERMINATE_TIMEOUT = 8.0  # seconds between asking a command to end and killing it
HELPER_TIMEOUT = 10.0  # seconds in which helpers (a tracker's upload process) may outlive the command that ended
DROPPED_VARIABLES = (
    "PYTHONDONTWRITEBYTECODE",
)  # set in many containers: the program would be compiled anew at each of its starts
MAX_QUOTED_OUTPUT = 400  # characters of output that are quoted when a command fails


class ProcessStat(NamedTuple):
    """What the tree needs of ``/proc/<pid>/stat``; ``start_time`` tells a process from a later one with the same number."""

    parent: int
    session: int
    start_time: int


class ProcessTree:
    """A process and all that it started, whether they are children, in its session, or were seen to be so before."""

    def __init__(self, root: int) -> None:
        self._start_times: dict[int, int] = {}  # pid -> born
        self._sessions = {root}
        self._root = root

    def living_pids(self) -> list[int]:
        """The tree's living processes. A helper in a session of its own is found by its parent and then remembered."""
        table = _process_table()
        found = {pid for pid, stat in table.items() if self._start_times.get(pid) == stat.start_time}
        if self._root in table and self._root not in self._start_times:
            found.add(self._root)
        grown = True
        while grown:
            new = {
                pid
                for pid, stat in table.items()
                if pid not in found and (stat.parent in found or stat.session in self._sessions)
            }
            found |= new
            # Only sessions that the tree itself opened: its leader is one of ours.
            self._sessions |= {table[pid].session for pid in new if table[pid].session in found}
            grown = bool(new)
        self._start_times.update({pid: table[pid].start_time for pid in found})
        return sorted(found)

    def kill(self) -> None:
        """SIGTERM, a few seconds' grace, SIGKILL."""
        for name in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.living_pids():
                _send_signal(pid, name)
            deadline = time.monotonic() + TERMINATE_TIMEOUT
            while self.living_pids() and time.monotonic() < deadline:
                time.sleep(0.05)


class MeasuredCommand:
    """A running command. ``started_at`` is the wall clock just before it was started."""

    def __init__(self, arguments: Sequence[str], output: Path, environment: dict[str, str]) -> None:
        self.name = " ".join(["python", *arguments[1:4]])
        self.output = output
        with output.open("wb") as log:
            self.started_at = time.time()
            self._clock = time.perf_counter()
            # A session of its own: Ctrl-C reaches this program alone, which then ends the command and all below it.
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

    def wait(self, timeout: float, interval: float = 1.0, on_poll: Callable[[list[int]], None] | None = None) -> float:
        """Wait for a good end and return the seconds from start to end.

        Args:
            timeout: seconds after which the command counts as hung.
            interval: seconds between two looks at the process tree.
            on_poll: called with the tree's process ids at each look.

        Raises:
            MeasurementError: the command failed, hung, or left processes behind.
        """
        while True:
            alive = self.tree.living_pids()
            if on_poll is not None:
                on_poll(alive)
            try:
                code = self.process.wait(timeout=interval)
            except subprocess.TimeoutExpired:
                if time.perf_counter() - self._clock > timeout:
                    raise MeasurementError(f"{self.name} ran longer than {timeout:.0f} s") from None
                continue
            seconds = time.perf_counter() - self._clock
            if code != 0:
                raise MeasurementError(f"{self.name} {_describe_exit(code)}: {self._output_tail()}")
            self._wait_for_tree_to_end()
            return seconds

    def _wait_for_tree_to_end(self) -> None:
        deadline = time.monotonic() + HELPER_TIMEOUT
        while left := self.tree.living_pids():
            if time.monotonic() > deadline:
                raise MeasurementError(f"{self.name} ended but left {len(left)} processes behind")
            time.sleep(0.1)

    def _output_tail(self) -> str:
        text = " ".join(self.output.read_text(errors="replace").split())
        return f"... {text[-MAX_QUOTED_OUTPUT:]}" if len(text) > MAX_QUOTED_OUTPUT else text or "no output"


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    hint = ", as happens where memory runs out" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


@contextmanager
def run_command(arguments: Sequence[str], output: Path, environment: dict[str, str] | None = None) -> Iterator[MeasuredCommand]:
    """Start a command; behind the block there is nothing left of it."""
    job = MeasuredCommand(arguments, output, environment or {})
    try:
        yield job
    finally:
        with _ignore_signals():
            job.tree.kill()
            # Without /proc there is no tree to walk; the session's group is then the best there is.
            if job.process.poll() is None:
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """An impatient second Ctrl-C must not interrupt the clearing up of the first."""
    handlers = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def pss_bytes(pids: Sequence[int]) -> int:
    """Proportional set size of some processes together: a page that n processes share counts 1/n for each."""
    total = 0
    for pid in pids:
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it ended between the look and the reading
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _process_table() -> dict[int, ProcessStat]:
    table = {}
    for entry in PROC.iterdir() if PROC.is_dir() else []:
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            # The command's name stands in brackets and may itself hold spaces and brackets.
            fields = text[text.rindex(")") + 2 :].split()
            if fields[0] != "Z":
                table[int(entry.name)] = ProcessStat(int(fields[1]), int(fields[3]), int(fields[19]))
    return table


def _send_signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
