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

from a3c_exp.runs.study_storage import HEARTBEAT
from a3c_exp.system.process_identity import is_same_process, process_start_time

_HEARTBEATS_PER_TIMEOUT = 4
"""Signs of life within the time of a lease."""


class TrialHeartbeat:
    """While entered, a thread renews this process's lease on one trial.

    Args:
        storage: of the study.
        trial_id: the storage's own number of the trial.
        role: ``lane`` or ``job``; a trial that one process handed to another is leased by both.
        timeout: without a renewal after which the lease has lapsed.
    """

    def __init__(self, storage: BaseStorage, trial_id: int, role: str, timeout: float) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._key = f"{HEARTBEAT}:{role}"
        self._timeout = timeout
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_until_stopped, name=f"lease of trial {trial_id}", daemon=True)

    def __enter__(self) -> "TrialHeartbeat":
        self._send(0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _send_until_stopped(self) -> None:
        beat = 0
        while not self._stopped.wait(self._timeout / _HEARTBEATS_PER_TIMEOUT):
            beat += 1
            # A storage that is away for a while is no reason to stop; a trial that was ended meanwhile keeps its end.
            with contextlib.suppress(Exception):
                self._send(beat)

    def _send(self, number: int) -> None:
        lease: dict[str, Any] = {
            "machine": machine_id(),
            "pid": os.getpid(),
            "started": process_start_time(os.getpid()),
            "beat": number,
        }
        self._storage.set_trial_system_attr(self._trial_id, self._key, lease)


class StaleTrialDetector:
    """Tells the running trials of a study that someone works on from those whose process is gone.

    A process of this machine is looked for. Of others all that is known is whether their lease is renewed, by this
    process's own clock: clocks of different machines need not agree.

    Args:
        timeout: as of the leases.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._last_heartbeats: dict[int, tuple[Any, float]] = {}
        self._alive: set[int] = set()

    def is_stale(self, trial: FrozenTrial) -> bool:
        """Whether nobody works on a running trial any more."""
        leases = heartbeats_of(trial)
        if leases and all(_is_process_gone(lease) for lease in leases):
            return True
        if any(_is_process_alive(lease) for lease in leases):
            return False  # it may have been stopped for a while (Ctrl-Z), and cannot renew what it holds
        beats = tuple((lease.get("pid"), lease.get("beat")) for lease in leases)
        now = time.monotonic()
        before, since = self._last_heartbeats.get(trial.number, (None, now))
        if beats != before:
            since = now
            if before is not None:
                self._alive.add(trial.number)
        self._last_heartbeats[trial.number] = (beats, since)
        return now - since > self._timeout

    def is_confirmed_alive(self, trial: FrozenTrial) -> bool:
        """Whether a sign of life came since ``is_stale`` was first asked, or its process is here."""
        return trial.number in self._alive or any(_is_process_alive(lease) for lease in heartbeats_of(trial))


def heartbeats_of(trial: FrozenTrial) -> list[Mapping[str, Any]]:
    """The leases of a trial, whatever became of their holders."""
    found = [value for key, value in trial.system_attrs.items() if key.startswith(HEARTBEAT)]
    return [lease for lease in found if isinstance(lease, Mapping)]


def machine_id() -> str:
    """This machine, since it was started: process numbers mean something only within it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _is_process_gone(heartbeat: Mapping[str, Any]) -> bool:
    return heartbeat.get("machine") == machine_id() and not _is_process_alive(heartbeat)


def _is_process_alive(heartbeat: Mapping[str, Any]) -> bool:
    pid = heartbeat.get("pid")
    if heartbeat.get("machine") != machine_id() or not isinstance(pid, int):
        return False
    return is_same_process(pid, heartbeat.get("started"))
