"""A run's console when the run is one of several on this machine: whoever started them all shows them all."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from a3c_exp.loggers.base import Logger, NullLogger, RunInfo
from a3c_exp.loggers.console import REFRESH_PER_SECOND, ConsoleLogger
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status

Send = Callable[..., None]
_forwarding_send: Send | None = None


def forward_to(send: Send) -> None:
    """From now on this process's runs are shown elsewhere: ``send`` is given a ``Logger`` method's name and its arguments."""
    global _forwarding_send
    _forwarding_send = send


def make_console_logger() -> Logger:
    """What shows a run to a person: on this process's standard error, or through ``forward_to``."""
    return ConsoleLogger() if _forwarding_send is None else ForwardingLogger(_forwarding_send)


class ForwardingLogger(NullLogger):
    """Hands on what a console shows, no more often than a console draws.

    Episodes end by the thousand in a second, and only the newest is ever seen: between two drawings of it, and of the
    metrics, the newest stands for all. Nothing else is left out.

    Args:
        send: given the name of a method and its arguments.
        interval: seconds between two drawings.
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
        with suppress(OSError):  # whoever showed us is gone; the run directory has it all
            self._send(method, *arguments)
