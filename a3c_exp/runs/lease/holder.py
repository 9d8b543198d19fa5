"""Who holds the lease on a directory, as its file says."""

import contextlib
import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.system.errors import StillRunning
from a3c_exp.system.process_identity import is_same_process, machine_id, process_start_time

LEASE = ".lease"
LEASE_SECONDS = 60.0
"""Silence after which a holder on another machine counts as dead."""

_READ_SECONDS = 1.0  # how long a holder may take to write who it is


@dataclass(frozen=True)
class Holder:
    """The process that a lease names."""

    pid: int
    host: str
    machine: str  # as ``machine_id`` of it
    started: float | None  # as ``process_start_time`` of it
    token: str  # of this lease alone

    @classmethod
    def this_process(cls) -> "Holder":
        pid = os.getpid()
        return cls(pid, socket.gethostname(), machine_id(), process_start_time(pid), secrets.token_hex(8))

    @classmethod
    def read(cls, directory: Path) -> "Holder | None":
        """Who holds the lease on a directory; ``None`` if nobody does, or the file is not whole."""
        with contextlib.suppress(OSError, ValueError):
            pid, host, machine, started, token = (directory / LEASE).read_text().splitlines()
            return cls(int(pid), host, machine, float(started) if started != "None" else None, token)
        return None

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == machine_id()

    def lives(self) -> bool:
        """Whether a process of this machine, other than this one, still is the one that it was."""
        return self.pid != os.getpid() and is_same_process(self.pid, self.started)

    def seems_alive(self, directory: Path) -> bool:
        """Whether it lives, as far as can be said without writing; of another machine, by this one's clock."""
        if self.is_here:
            return self.lives()
        with contextlib.suppress(OSError):
            return time.time() - (directory / LEASE).stat().st_mtime < LEASE_SECONDS
        return False

    def __str__(self) -> str:
        return str(self.pid) if self.is_here else f"{self.pid} on {self.host}"

    def to_text(self) -> str:
        return "".join(f"{value}\n" for value in (self.pid, self.host, self.machine, self.started, self.token))


def read_patiently(directory: Path, alive: bool = False) -> Holder | None:
    """As ``Holder.read``; who has just got a lock or a lease may take a moment to say so. If it is known to be ``alive``, what
    stands there of one that is not is of the one before."""
    deadline = time.monotonic() + _READ_SECONDS
    while (holder := Holder.read(directory)) is None or (alive and holder.is_here and not holder.lives()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return holder


def still_running(directory: Path, who: str, age: float | None = None) -> StillRunning:
    """The error for a directory in which another process trains; ``age``: the seconds since its last sign of life."""
    heard = "" if age is None else f" ({age:.0f} s ago; it counts as dead after {LEASE_SECONDS:.0f} s of silence)"
    return StillRunning(f"{directory} is still running as process {who}{heard}; stop that first (Ctrl-C), or wait for its end")
