"""Which process runs a trial, and whether it still does: heartbeats in the study's storage.

Optuna's own know no journal file, the default storage, and no process: one that was killed, or suspended (Ctrl-Z).
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from a3c_exp.runs.study_storage import HEARTBEAT
from a3c_exp.system.process_identity import is_same_process, machine_id, process_start_time

_HEARTBEATS_PER_TIMEOUT = 4


class TrialHeartbeat:
    """Sends heartbeats of this process for a trial, from a thread, until it is closed. The ``role`` tells processes apart:
    where one hands a trial to another, both send heartbeats. After ``timeout`` seconds of silence the trial counts as stale."""

    def __init__(self, storage: BaseStorage, trial_id: int, role: str, timeout: float) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._key = f"{HEARTBEAT}:{role}"
        self._interval = timeout / _HEARTBEATS_PER_TIMEOUT
        self._closed = threading.Event()
        self._send(0)
        self._thread = threading.Thread(target=self._send_until_closed, name=f"heartbeat of trial {trial_id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _send_until_closed(self) -> None:
        number = 0
        while not self._closed.wait(self._interval):
            number += 1
            # A storage that is away for a while is no reason to stop; a trial that was ended meanwhile keeps its end.
            with contextlib.suppress(Exception):
                self._send(number)

    def _send(self, number: int) -> None:
        pid = os.getpid()
        heartbeat: dict[str, Any] = {"machine": machine_id(), "pid": pid, "started": process_start_time(pid), "beat": number}
        self._storage.set_trial_system_attr(self._trial_id, self._key, heartbeat)


class StaleTrialDetector:
    """Finds running trials whose process is gone. One of this machine is looked up; one of another is gone when its heartbeats
    have stopped for ``timeout`` seconds, by this process's own clock: clocks of different machines need not agree."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._last_heartbeats: dict[int, tuple[Any, float]] = {}
        self._alive: set[int] = set()

    def is_stale(self, trial: FrozenTrial) -> bool:
        """Whether no process works on a running trial any more."""
        heartbeats = heartbeats_of(trial)
        if any(map(_is_process_alive, heartbeats)):
            return False  # it may have been suspended for a while, and could send nothing
        if heartbeats and all(map(_is_local, heartbeats)):
            return True
        beats, now = [(heartbeat.get("pid"), heartbeat.get("beat")) for heartbeat in heartbeats], time.monotonic()
        before, since = self._last_heartbeats.get(trial.number, (None, now))
        if beats != before:
            since = now
            if before is not None:
                self._alive.add(trial.number)
        self._last_heartbeats[trial.number] = (beats, since)
        return now - since > self._timeout

    def is_confirmed_alive(self, trial: FrozenTrial) -> bool:
        """Whether a heartbeat came since ``is_stale`` was first called, or its process runs on this machine."""
        return trial.number in self._alive or any(map(_is_process_alive, heartbeats_of(trial)))


def heartbeats_of(trial: FrozenTrial) -> list[Mapping[str, Any]]:
    """The last heartbeat of each process that has worked on a trial."""
    values = [value for key, value in trial.system_attrs.items() if key.startswith(HEARTBEAT)]
    return [heartbeat for heartbeat in values if isinstance(heartbeat, Mapping)]


def is_from_process(heartbeat: Mapping[str, Any], pid: int) -> bool:
    """Whether the process of this machine with this ``pid`` has sent it."""
    return _is_local(heartbeat) and heartbeat.get("pid") == pid


def _is_local(heartbeat: Mapping[str, Any]) -> bool:
    return heartbeat.get("machine") == machine_id()


def _is_process_alive(heartbeat: Mapping[str, Any]) -> bool:
    pid = heartbeat.get("pid")
    return _is_local(heartbeat) and isinstance(pid, int) and is_same_process(pid, heartbeat.get("started"))
