"""What a person sees while a run trains: a live view on a terminal, else a plain line now and then. All on stderr."""

from typing import TYPE_CHECKING, TextIO

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.live_view import LiveView
from a3c_exp.loggers.progress import RunProgress, progress_line, summary_rows
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status

if TYPE_CHECKING:
    from rich.console import RenderableType

_STATUS_STYLES = {"finished": "green", "failed": "red"}


class ConsoleLogger(Logger):
    """Shows progress, speed and the numbers that say whether training works.

    On a terminal that is one panel, which gives way to a summary at the end. Anywhere else it is one line every ``interval``
    seconds, the first at the first event, and then the summary.

    Args:
        interval: seconds between plain lines.
        stream: where to write; standard error unless given.
    """

    def __init__(self, interval: float = 10.0, stream: TextIO | None = None) -> None:
        self._progress: RunProgress | None = None
        self._view = LiveView(self._render, interval, stream)

    def start(self, run: RunInfo) -> None:
        self._progress = RunProgress(run)
        if run.resumed:
            self._view.print(f"{run.name} resumes at episode {run.start_episode:,}, step {run.start_env_step:,}")
        self._view.start()

    def episode(self, episode: EpisodeRecord) -> None:
        if self._progress:
            self._progress.episode(episode)
            self._print_if_due()

    def metrics(self, metrics: MetricsRecord) -> None:
        if self._progress:
            self._progress.metrics(metrics)
            self._print_if_due()

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        if self._progress:
            self._progress.evaluation(evaluation)
            self._print_if_due()

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

    def _print_if_due(self) -> None:
        if progress := self._progress:
            self._view.print_if_due(lambda: progress_line(progress))

    def _render(self, width: int, height: int) -> "RenderableType":
        from a3c_exp.loggers.panels import run_panel

        return "" if self._progress is None else run_panel(self._progress, width)
