"""Signals that ask to stop, as a flag that is read where work can end in order, instead of an exception at any instruction."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
STOP_SIGNALS = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
"""Ctrl-C; what systemd, containers and ``kill`` send; the end of a terminal; what schedulers send before a time limit."""
STOP_EXIT_CODES = {128 + number: "Ctrl-C" if number == signal.SIGINT else number.name for number in STOP_SIGNALS}
"""As in a shell, 128 plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM; each with the signal's name."""


scratch_folders: set[str] = set()
"""What a second signal takes away too, because nobody would: folders of what is half-done."""


class StopRequested(SystemExit):
    """A signal asked to stop before there was anything to save, or in the middle of what is not worth saving."""


class StopSignals:
    """While entered, records which signal asked to stop; a second one ends the process at once, unless it is ``patient``.
    Entered within another, it takes over what that has recorded, and gives back what it has recorded itself."""

    current: "StopSignals | None" = None
    patient = False
    """Whether further signals are the same request once more, as batch systems send it, and not a person who will not wait."""

    def __init__(self) -> None:
        self.received: int | None = None  # the first signal's number
        self._interrupts = False
        self._previous_handlers: dict[int, Any] = {}
        self._outer: StopSignals | None = None

    def __enter__(self) -> "StopSignals":
        self._outer, StopSignals.current = StopSignals.current, self
        if self._outer is not None:
            self.received = self._outer.received
        for number in STOP_SIGNALS:
            if number not in _ignored_as_with_nohup():
                self._previous_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        StopSignals.current = self._outer
        if self._outer is not None:
            self._outer.received = self.received

    def requested(self) -> bool:
        """Whether a signal asked to stop."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """One of ``STOP_EXIT_CODES``."""
        return 128 + (self.received or 0)

    @property
    def name(self) -> str:
        return STOP_EXIT_CODES.get(self.exit_code, "SIGTERM")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if StopSignals.patient:
                return
            _leave_nothing_behind()
            os._exit(self.exit_code)
        self.received = number
        if self._interrupts:
            raise StopRequested(self.exit_code)


def exit_if_stopped() -> None:
    """Raise StopRequested if a signal has asked to stop: for the points of a start at which nothing is half-done."""
    if StopSignals.current is not None and StopSignals.current.requested():
        raise StopRequested(StopSignals.current.exit_code)


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal raises ``StopRequested`` inside at once: for what takes minutes and is thrown away when it is interrupted."""
    exit_if_stopped()
    if (current := StopSignals.current) is None:
        yield
        return
    current._interrupts = True
    try:
        yield
    finally:
        current._interrupts = False
    exit_if_stopped()  # the interrupted code took it for an error of its own


def leave_to_parent() -> None:
    """In a child process: what reaches a whole group is the main process's to interpret, which then has this one end. Ctrl-C is
    ignored, also by what is started from here; others get a handler that does nothing, which programs do not inherit."""
    for number in STOP_SIGNALS:
        if number not in _ignored_as_with_nohup():
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else lambda *_: None)


@contextmanager
def blocked() -> Iterator[None]:
    """Signals wait outside; a program that is started inside has them blocked until it says otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignored_as_with_nohup() -> set[signal.Signals]:
    return {number for number in STOP_SIGNALS if number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN}


def _leave_nothing_behind() -> None:
    """What is half-done, children, which may be in a step that does not end, and what ``multiprocessing`` would remove at the
    usual end of a main process: the fork server's socket, shared files."""
    for folder in scratch_folders:
        shutil.rmtree(folder, ignore_errors=True)
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return
    for child in multiprocessing.active_children():
        child.kill()
    if multiprocessing.parent_process() is None:
        shutil.rmtree(multiprocessing.current_process()._config.get("tempdir", ""), ignore_errors=True)
