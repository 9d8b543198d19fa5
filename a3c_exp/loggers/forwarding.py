"""The console of a run that is one of several on this machine: it is shown by the process that started them all."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.console import ConsoleLogger
from a3c_exp.loggers.live_view import REFRESH_PER_SECOND
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status

Send = Callable[..., None]
_forwarding_send: Send | None = None


def forward_to(send: Send) -> None:
    """Send what the console of this process's runs would show: ``send`` gets a ``Logger`` method's name and its arguments."""
    global _forwarding_send
    _forwarding_send = send


def make_console_logger() -> Logger:
    """Shows a run on this process's standard error, or through ``forward_to``."""
    return ConsoleLogger() if _forwarding_send is None else ForwardingLogger(_forwarding_send)


class ForwardingLogger(Logger):
    """Forwards what a console shows, as often as a console is redrawn.

    Thousands of episodes may end in a second, of which a console shows the newest: of the episodes, and of the metrics,
    between two redraws only the newest is sent. Everything else is.

    Args:
        send: called with the name of a ``Logger`` method and its arguments.
        interval: seconds between two redraws.
    """

    def __init__(self, send: Send, interval: float = 1 / REFRESH_PER_SECOND) -> None:
        self._send = send
        self._interval = interval
        self._next_send_time = 0.0
        self._latest: dict[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self._forward("start", run)

    def episode(self, episode: EpisodeRecord) -> None:
        self._latest["episode"] = episode
        self._flush_if_due()

    def metrics(self, metrics: MetricsRecord) -> None:
        self._latest["metrics"] = metrics
        self._flush_if_due()

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._flush()
        self._forward("evaluation", evaluation)

    def message(self, text: str) -> None:
        self._forward("message", text)

    def finish(self, status: Status, summary: JsonObject) -> None:
        self._flush()
        self._forward("finish", status, dict(summary))

    def _flush_if_due(self) -> None:
        if time.monotonic() >= self._next_send_time:
            self._flush()

    def _flush(self) -> None:
        self._next_send_time = time.monotonic() + self._interval
        newest, self._latest = self._latest, {}
        for method, value in newest.items():
            self._forward(method, value)

    def _forward(self, method: str, *arguments: Any) -> None:
        with suppress(OSError):  # the process that shows this run is gone; the run directory has it all
            self._send(method, *arguments)
