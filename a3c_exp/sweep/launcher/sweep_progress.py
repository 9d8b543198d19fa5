"""What a person sees of a sweep whose jobs run side by side: one view of all on a terminal, else a line for each event."""

import atexit
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from a3c_exp.loggers.console import start_live_view
from a3c_exp.loggers.progress import RunProgress, format_duration, progress_line
from a3c_exp.sweep.launcher.job_state import JobState

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text


class SweepProgress:
    """Shows which jobs run and how far they are, and says of each how it ended. All on standard error.

    On a terminal, with ``rich`` installed, that is one view that stays at the bottom while what runs have to say scrolls by
    above it. Anywhere else it is a line for each event, and for each running job one every ``interval`` seconds.

    Args:
        directory: the directory of the whole.
        total: jobs that the command asks for.
        num_started, num_failed: those before this launch.
        interval: seconds between a job's plain lines.
        stream: where to write; standard error unless given.
    """

    def __init__(
        self,
        directory: Path,
        total: int,
        num_started: int = 0,
        num_failed: int = 0,
        interval: float = 10.0,
        stream: TextIO | None = None,
    ) -> None:
        self.directory = directory
        self.total = total
        self.num_ended = num_started
        self.num_failed = num_failed
        self.running: list[JobState] = []
        self.stop_requested = False
        self._num_started_before = num_started
        self._num_started = num_started
        self._start_time = time.monotonic()
        self._interval = interval
        self._next_line_times: dict[int, float] = {}
        self._stream = stream or sys.stderr
        self._live = self._open_live_view()
        if self._live:
            atexit.register(self._close_live)  # a terminal gets its cursor back whatever happens

    # -- what happens ----------------------------------------------------------------------------------------------------

    def start_job(self, job: JobState) -> None:
        self._num_started += 1
        self.running.append(job)
        if not self._live:
            self._write(f"a3c_exp: run {self._num_started} of {self.total}: {job.name}")

    def handle_log_message(self, job: JobState, method: str, *arguments: Any) -> None:
        """What a job's console was told."""
        match method:
            case "start":
                job.progress = RunProgress(arguments[0])
                self._next_line_times[job.number] = time.monotonic() + self._interval / 4  # by then there is something to say
            case "message":
                self.print_message(job, arguments[0])
            case "finish":
                job.status, job.summary = arguments
            case "episode" | "metrics" | "evaluation" if job.progress:
                getattr(job.progress, method)(*arguments)

    def print_message(self, job: JobState, text: str) -> None:
        """What a job has to say, with its name before each line."""
        if self._live:
            from a3c_exp.sweep.launcher.progress_view import format_message

            for line in text.splitlines():
                self._print(format_message(job, line))
        else:
            self._write("\n".join(f"{job.name} | {line}" for line in text.splitlines()))

    def end_job(self, job: JobState) -> None:
        """A job is over, for whatever reason."""
        self.num_ended += 1
        self.num_failed += job.failure_reason is not None
        self.running = [one for one in self.running if one is not job]
        if self._live:
            from a3c_exp.sweep.launcher.progress_view import final_line

            self._print(final_line(job))
        else:
            self._write(f"{job.name} | {job.final_line}")

    def announce_stop(self) -> None:
        """Everyone was asked to stop."""
        self.stop_requested = True
        if self.running and not self._live:
            self._write("a3c_exp: stopping; each run saves a checkpoint first (once more ends them at once)")

    def print_due_lines(self) -> None:
        """What is due where there is no terminal; one draws itself."""
        now = time.monotonic()
        for entry in self.running:
            if self._live is None and entry.progress and now >= self._next_line_times[entry.number]:
                self._next_line_times[entry.number] = now + self._interval
                self._write(f"{entry.name} | {progress_line(entry.progress).lstrip()}")

    def close(self, stopped_by: str | None = None) -> None:
        """The launch is over."""
        self._close_live()
        if stopped_by:
            left = self.total - self._num_started
            never = f"; {left} {'was' if left == 1 else 'were'} never begun" if left > 0 else ""
            self._write(f"a3c_exp: {self.directory}: stopped by {stopped_by}{never}")

    # -- figures of the whole --------------------------------------------------------------------------------------------

    @property
    def fraction(self) -> float:
        """Of all runs, counted by how far each is."""
        running = sum((entry.progress.fraction or 0.0) for entry in self.running if entry.progress)
        return min(1.0, (self.num_ended + running) / max(self.total, 1))

    @property
    def format_times(self) -> str:
        """``0:03:10, 0:05:02 left``"""
        elapsed = time.monotonic() - self._start_time
        before = self._num_started_before / max(self.total, 1)
        so_far = self.fraction - before
        left = f", {format_duration(elapsed * (1 - self.fraction) / so_far)} left" if so_far > 0.01 else ""
        return format_duration(elapsed) + left

    @property
    def format_counts(self) -> str:
        """``2 of 10 done · 2 running · 1 num_failed``"""
        words = [f"{self.num_ended} of {self.total} done", f"{len(self.running)} running"]
        if self.num_failed:
            words.append(f"{self.num_failed} failed")
        return " · ".join(words)

    # -- writing ---------------------------------------------------------------------------------------------------------

    def _open_live_view(self) -> "Live | None":
        def view() -> Any:
            from a3c_exp.sweep.launcher.progress_view import SweepProgressView

            return SweepProgressView(self)

        return start_live_view(view, self._stream)

    def _print(self, text: "Text") -> None:
        if self._live:
            with suppress(OSError, ValueError):
                self._live.console.print(text, soft_wrap=True)

    def _write(self, text: str) -> None:
        # A reader that went away is no reason to stop: the run directories have it all.
        with suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def _close_live(self) -> None:
        live, self._live = self._live, None
        if live:
            atexit.unregister(self._close_live)
            with suppress(OSError, ValueError):
                live.stop()
