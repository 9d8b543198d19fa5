"""What a person sees of a sweep whose jobs run side by side: one view of all on a terminal, else a line for each event."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from a3c_exp.loggers.live_view import LiveView
from a3c_exp.loggers.progress import RunProgress, progress_line
from a3c_exp.sweep.launcher.job_state import JobState
from a3c_exp.system.number_format import format_duration

if TYPE_CHECKING:
    from rich.table import Table


class SweepProgress:
    """Shows which jobs run, how far they are and how each ended, on standard error.

    On a terminal that is one view, above which the messages of the jobs scroll by. Anywhere else it is a line for each event,
    and for each running job one every ``interval`` seconds.

    Args:
        directory: the sweep's directory.
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
        self._directory = directory
        self._total = total
        self._num_started = self._num_ended = self._num_started_before = num_started
        self._num_failed = num_failed
        self._running: list[JobState] = []
        self._stopping = False
        self._start_time = time.monotonic()
        self._view = LiveView(self._render, interval, stream)
        self._view.start()

    def start_job(self, job: JobState) -> None:
        self._num_started += 1
        self._running.append(job)
        if not self._view.is_drawn:
            self._view.print(f"a3c_exp: run {self._num_started} of {self._total}: {job.name}")

    def handle_log_message(self, job: JobState, method: str, *arguments: Any) -> None:
        """A call of a ``Logger`` method in a job's process."""
        match method:
            case "start":
                job.progress = RunProgress(arguments[0])
            case "message":
                self.print_message(job, arguments[0])
            case "finish":
                job.status, job.summary = arguments
            case "episode" | "metrics" | "evaluation" if job.progress:
                getattr(job.progress, method)(*arguments)

    def print_message(self, job: JobState, text: str) -> None:
        """A message of a job, with the job's name before each line."""
        for line in text.splitlines():
            self._view.print((job.name, "cyan"), " | ", line)

    def end_job(self, job: JobState) -> None:
        """A job has ended, for whatever reason."""
        self._num_ended += 1
        self._num_failed += job.failure_reason is not None
        self._running = [other for other in self._running if other is not job]
        outcome, colon, details = job.final_line.partition(": ")
        style = "yellow" if job.status == "interrupted" else "bold red" if job.failure_reason is not None else "bold green"
        self._view.print((job.name, style), " | ", (outcome + colon, style), details)

    def announce_stop(self) -> None:
        """Every job was asked to stop."""
        self._stopping = True
        if self._running and not self._view.is_drawn:
            self._view.print("a3c_exp: stopping; each run saves a checkpoint first (once more ends them at once)")

    def print_due_lines(self) -> None:
        """Progress of the running jobs, where no view is drawn."""
        for job in self._running:
            progress = job.progress
            if progress is not None and progress.env_steps > progress.run.start_env_step:
                self._view.print_if_due(partial(_job_line, job.name, progress), job.number)

    def close(self, stopped_by: str | None = None) -> None:
        """The launch is over."""
        self._view.close()
        if stopped_by:
            left = self._total - self._num_started
            not_started = f"; {left} {'was' if left == 1 else 'were'} not started" if left > 0 else ""
            self._view.print(f"a3c_exp: {self._directory}: stopped by {stopped_by}{not_started}")

    def _fraction(self) -> float:
        """The share of all jobs that is done, running ones counted by how far each is."""
        running = sum((job.progress.fraction or 0.0) for job in self._running if job.progress)
        return min(1.0, (self._num_ended + running) / max(self._total, 1))

    def _counts(self) -> str:
        """``2 of 10 done · 2 running · 1 failed · 3 min 10 s, 5 min 02 s left``"""
        failed = f" · {self._num_failed} failed" if self._num_failed else ""
        elapsed, fraction = time.monotonic() - self._start_time, self._fraction()
        done_here = fraction - self._num_started_before / max(self._total, 1)
        remaining = f", {format_duration(elapsed * (1 - fraction) / done_here)} left" if done_here > 0.01 else ""
        counts = f"{self._num_ended} of {self._total} done · {len(self._running)} running{failed}"
        return f"{counts} · {format_duration(elapsed)}{remaining}"

    def _render(self, width: int, height: int) -> "Table":
        from a3c_exp.sweep.launcher.progress_view import sweep_view

        jobs = list(self._running)
        return sweep_view(self._directory.name, self._counts(), self._fraction(), self._stopping, jobs, (width, height))


def _job_line(name: str, progress: RunProgress) -> str:
    return f"{name} | {progress_line(progress).lstrip()}"
