"""A run's console when the run is one of several on this machine: whoever started them all shows them all."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from a3c_exp.loggers.base import Logger, QuietLogger, RunInfo
from a3c_exp.loggers.console import DRAWN_PER_SECOND, ConsoleLogger
from a3c_exp.runs.log_records import Episode, Evaluation, Json, Metrics, Status

Send = Callable[..., None]
_relay: Send | None = None


def relay_to(send: Send) -> None:
    """From now on this process's runs are shown elsewhere: ``send`` is given a ``Logger`` method's name and its arguments."""
    global _relay
    _relay = send


def console() -> Logger:
    """What shows a run to a person: on this process's standard error, or through ``relay_to``."""
    return ConsoleLogger() if _relay is None else Relay(_relay)


class Relay(QuietLogger):
    """Hands on what a console shows, no more often than a console draws.

    Episodes end by the thousand in a second, and only the newest is ever seen: between two drawings of it, and of the
    metrics, the newest stands for all. Nothing else is left out.

    Args:
        send: given the name of a method and its arguments.
        interval: seconds between two drawings.
    """

    def __init__(self, send: Send, interval: float = 1 / DRAWN_PER_SECOND) -> None:
        self._send = send
        self._interval = interval
        self._due = 0.0
        self._newest: dict[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self._say("start", run)

    def episode(self, episode: Episode) -> None:
        self._newest["episode"] = episode
        self._pass_if_due()

    def metrics(self, metrics: Metrics) -> None:
        self._newest["metrics"] = metrics
        self._pass_if_due()

    def evaluation(self, evaluation: Evaluation) -> None:
        self._pass()
        self._say("evaluation", evaluation)

    def message(self, text: str) -> None:
        self._say("message", text)

    def finish(self, status: Status, summary: Json) -> None:
        self._pass()
        self._say("finish", status, dict(summary))

    def _pass_if_due(self) -> None:
        if time.monotonic() >= self._due:
            self._pass()

    def _pass(self) -> None:
        self._due = time.monotonic() + self._interval
        newest, self._newest = self._newest, {}
        for method, value in newest.items():
            self._say(method, value)

    def _say(self, method: str, *arguments: Any) -> None:
        with suppress(OSError):  # whoever showed us is gone; the run directory has it all
            self._send(method, *arguments)
