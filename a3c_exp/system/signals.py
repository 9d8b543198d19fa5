"""Ctrl-C and SIGTERM as a flag that the training loop reads, instead of an exception at any instruction."""

import os
import signal
from types import FrameType
from typing import Any

_HANDLED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While entered, records in ``received`` the number of the signal that asked to stop; a second one ends the process at
    once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        self._previous_handlers = {number: signal.signal(number, self._on_signal) for number in _HANDLED}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def requested(self) -> bool:
        """Whether a signal asked to stop."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in a shell: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.received or 0)

    @property
    def name(self) -> str:
        return "Ctrl-C" if self.received == signal.SIGINT else signal.Signals(self.received or signal.SIGTERM).name

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Workers are daemons and watch their pipe, so they do not outlive this.
            os._exit(self.exit_code)
        self.received = number
