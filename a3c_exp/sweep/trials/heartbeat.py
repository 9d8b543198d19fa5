"""Who works on a trial, and whether they still do: a lease in the study's storage, renewed as long as a process lives."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from a3c_exp.runs.record import is_process, process_start
from a3c_exp.runs.study_storage import LEASE

_BEATS = 4
"""Signs of life within the time of a lease."""


class Lease:
    """While entered, a thread renews this process's lease on one trial.

    Args:
        storage: of the study.
        trial_id: the storage's own number of the trial.
        role: ``lane`` or ``job``; a trial that one process handed to another is leased by both.
        seconds: without a renewal after which the lease has lapsed.
    """

    def __init__(self, storage: BaseStorage, trial_id: int, role: str, seconds: float) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._key = f"{LEASE}:{role}"
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_over, name=f"lease of trial {trial_id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._renew(0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _renew_until_over(self) -> None:
        beat = 0
        while not self._over.wait(self._seconds / _BEATS):
            beat += 1
            # A storage that is away for a while is no reason to stop; a trial that was ended meanwhile keeps its end.
            with contextlib.suppress(Exception):
                self._renew(beat)

    def _renew(self, beat: int) -> None:
        lease: dict[str, Any] = {"machine": machine(), "pid": os.getpid(), "started": process_start(os.getpid()), "beat": beat}
        self._storage.set_trial_system_attr(self._trial_id, self._key, lease)


class Watch:
    """Tells the running trials of a study that someone works on from those whose process is gone.

    A process of this machine is looked for. Of others all that is known is whether their lease is renewed, by this
    process's own clock: clocks of different machines need not agree.

    Args:
        seconds: as of the leases.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[int, tuple[Any, float]] = {}
        self._alive: set[int] = set()

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Whether nobody works on a running trial any more."""
        leases = leases_of(trial)
        if leases and all(_is_gone(lease) for lease in leases):
            return True
        if any(_is_here(lease) for lease in leases):
            return False  # it may have been stopped for a while (Ctrl-Z), and cannot renew what it holds
        beats = tuple((lease.get("pid"), lease.get("beat")) for lease in leases)
        now = time.monotonic()
        before, since = self._seen.get(trial.number, (None, now))
        if beats != before:
            since = now
            if before is not None:
                self._alive.add(trial.number)
        self._seen[trial.number] = (beats, since)
        return now - since > self._seconds

    def is_seen_alive(self, trial: FrozenTrial) -> bool:
        """Whether a sign of life came since ``is_dead`` was first asked, or its process is here."""
        return trial.number in self._alive or any(_is_here(lease) for lease in leases_of(trial))


def leases_of(trial: FrozenTrial) -> list[Mapping[str, Any]]:
    """The leases of a trial, whatever became of their holders."""
    found = [value for key, value in trial.system_attrs.items() if key.startswith(LEASE)]
    return [lease for lease in found if isinstance(lease, Mapping)]


def machine() -> str:
    """This machine, since it was started: process numbers mean something only within it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _is_gone(lease: Mapping[str, Any]) -> bool:
    return lease.get("machine") == machine() and not _is_here(lease)


def _is_here(lease: Mapping[str, Any]) -> bool:
    pid = lease.get("pid")
    if lease.get("machine") != machine() or not isinstance(pid, int):
        return False
    return is_process(pid, lease.get("started")) and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
