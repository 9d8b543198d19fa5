"""What a person sees while a run trains: a live view on a terminal, else a plain line now and then. All on stderr."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.live_view import REFRESH_PER_SECOND, LiveView
from a3c_exp.loggers.progress import RunProgress, progress_line, summary_rows
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status

if TYPE_CHECKING:
    from rich.console import RenderableType

Send = Callable[..., None]
_STATUS_STYLES = {"finished": "green", "failed": "red"}
_forwarding_send: Send | None = None


class ConsoleLogger(Logger):
    """Shows progress, speed and the numbers that say whether training works, on standard error unless a ``stream`` is given: on
    a terminal in one panel, which gives way to a summary at the end, else in a line every ``interval`` seconds."""

    def __init__(self, interval: float = 10.0, stream: TextIO | None = None) -> None:
        self._progress: RunProgress | None = None
        self._view = LiveView(self._render, interval, stream)

    def start(self, run: RunInfo) -> None:
        self._progress = RunProgress(run)
        if run.resumed:
            self._view.print(f"{run.name} resumes at episode {run.start_episode:,}, step {run.start_env_step:,}")
        self._view.start()

    def episode(self, episode: EpisodeRecord) -> None:
        self._update(episode)

    def metrics(self, metrics: MetricsRecord) -> None:
        self._update(metrics)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._update(evaluation)

    def _update(self, record: EpisodeRecord | MetricsRecord | EvaluationRecord) -> None:
        if self._progress:
            self._progress.update(record)
            self._view.print_if_due(partial(progress_line, self._progress))

    def message(self, text: str) -> None:
        self._view.print(text)

    def finish(self, status: Status, summary: JsonObject) -> None:
        """Close the view and say how the run ended, also when an exception passes by."""
        self._view.close()
        progress, self._progress = self._progress, None
        if progress is None:
            return
        self._view.print((progress.run.name, "bold"))
        rows = summary_rows(progress, status, summary)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            style = _STATUS_STYLES.get(status, "yellow") if name == "status" else ""
            self._view.print((f"  {name:<{width}}  ", "dim"), (value, style))

    def _render(self, width: int, height: int) -> "RenderableType":
        from a3c_exp.loggers.panels import run_panel

        return "" if self._progress is None else run_panel(self._progress, width)


class ForwardingLogger(Logger):
    """Calls ``send`` with a ``Logger`` method's name and its arguments for what a console shows; of episodes and metrics, which
    may come by the thousand in a second, with the newest every ``interval`` seconds."""

    def __init__(self, send: Send, interval: float = 1 / REFRESH_PER_SECOND) -> None:
        self._send = send
        self._interval = interval
        self._next_send_time = 0.0
        self._newest: dict[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self._forward("start", run)

    def episode(self, episode: EpisodeRecord) -> None:
        self._forward_newest("episode", episode)

    def metrics(self, metrics: MetricsRecord) -> None:
        self._forward_newest("metrics", metrics)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._flush()
        self._forward("evaluation", evaluation)

    def message(self, text: str) -> None:
        self._forward("message", text)

    def finish(self, status: Status, summary: JsonObject) -> None:
        self._flush()
        self._forward("finish", status, dict(summary))

    def _forward_newest(self, method: str, record: EpisodeRecord | MetricsRecord) -> None:
        self._newest[method] = record
        if time.monotonic() >= self._next_send_time:
            self._flush()

    def _flush(self) -> None:
        self._next_send_time = time.monotonic() + self._interval
        newest, self._newest = self._newest, {}
        for method, record in newest.items():
            self._forward(method, record)

    def _forward(self, method: str, *arguments: Any) -> None:
        with suppress(OSError):  # the process that shows this run is gone; the run directory has it all
            self._send(method, *arguments)


def forward_to(send: Send) -> None:
    """Send what the console of this process's runs would show: ``send`` gets a ``Logger`` method's name and its arguments."""
    global _forwarding_send
    _forwarding_send = send


def make_console_logger() -> Logger:
    """Shows a run on standard error, or, as one of several, through ``forward_to`` in the process that started them all."""
    return ConsoleLogger() if _forwarding_send is None else ForwardingLogger(_forwarding_send)
