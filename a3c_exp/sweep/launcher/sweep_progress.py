"""What a person sees of a sweep whose jobs run side by side: one view of all on a terminal, else a line for each event."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from hydra.core.utils import JobReturn
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from a3c_exp.loggers.live_view import LiveView
from a3c_exp.loggers.panels import RUN_PANEL_HEIGHT, left_and_right, progress_row, run_panel, stack
from a3c_exp.loggers.progress import RunProgress, format_evaluations, format_percent, progress_line, summary_rows
from a3c_exp.runs.log_records import JsonObject, Status
from a3c_exp.runs.sweep_plan import is_sweep
from a3c_exp.system.cli import Outcomes
from a3c_exp.system.number_format import format_duration, format_number

_BAR_WIDTH = 16
_HEADER_LINES = 4


@dataclass(eq=False)
class JobState:
    """One job of a sweep as the launcher knows it."""

    number: int  # hydra.job.num
    name: str  # what distinguishes it from the others
    cores: int = 0  # how many it keeps busy; 0 until it has reported that
    started: bool = False
    directory: Path | None = None  # of its run
    progress: RunProgress | None = None  # what its console would show
    status: Status | None = None  # how its run ended, as the run reported it
    summary: JsonObject = field(default_factory=dict)
    failure_reason: str | None = None
    result: JobReturn | None = None  # for Hydra

    @property
    def final_line(self) -> str:
        """How it ended: ``finished: 120 episodes, ... | evaluation -812 [-990, -633] over 10 episodes | <run directory>``"""
        if self.failure_reason is not None and self.status != "interrupted":
            return f"failed: {self.failure_reason}"
        if self.progress is None or self.status is None:
            return "finished"
        rows = dict(summary_rows(self.progress, self.status, self.summary))
        prefixes = {"trained": "", "evaluation": "evaluation ", "speed": ""}
        prefixes |= {"go on with": "go on with "} if "go on with" in rows else {"run directory": ""}
        return f"{rows['status']}: " + " | ".join(prefix + rows[name] for name, prefix in prefixes.items() if name in rows)


def job_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have; all of them if there is a single job.

    >>> job_names([["env=pendulum", "workers=4"], ["env=pendulum", "workers=6"]])
    ['workers=4', 'workers=6']
    >>> job_names([["env=pendulum", "+hydra.job.env_set.X=1"]])
    ['env=pendulum']
    """
    shown = [[override for override in job if not override.lstrip("+~").startswith("hydra.")] for job in jobs]
    common = set.intersection(*map(set, shown)) if len(shown) > 1 else set()
    return [" ".join(override for override in job if override not in common) or "defaults" for job in shown]


class SweepProgress:
    """Shows which jobs run, how far they are and how each ended, on standard error unless a ``stream`` is given: on a terminal
    in a panel for each job while there is room, else in a line for each, under the jobs' messages; anywhere else in a line for
    each event, and one for each running job every ``interval`` seconds."""

    def __init__(self, directory: Path, outcomes: Outcomes, interval: float = 10.0, stream: TextIO | None = None) -> None:
        self._directory = directory
        self._outcomes = outcomes  # of the command, earlier launches included
        self._num_ended = self._num_started_before = outcomes.num_started
        self._running: list[JobState] = []
        self._stopping = False
        self._start_time = time.monotonic()
        self._view = LiveView(self._render, interval, stream)
        self._view.start()

    def start_job(self, job: JobState) -> None:
        job.started = True
        self._outcomes.num_started += 1
        self._running.append(job)
        if not self._view.is_drawn:
            self._view.print(f"a3c_exp: run {self._outcomes.num_started} of {self._outcomes.total}: {job.name}")

    def handle_report(self, job: JobState, method: str, *arguments: Any) -> None:
        """Take note of a ``JobReport``, and show what it says."""
        match method:
            case "ready":
                (job.cores,) = arguments
            case "started":
                job.directory = Path(arguments[0])
            case "start":
                job.progress = RunProgress(arguments[0])
            case "message":
                self.print_message(job, arguments[0])
            case "finish":
                job.status, job.summary = arguments
            case "episode" | "metrics" | "evaluation" if job.progress:
                job.progress.update(*arguments)

    def print_message(self, job: JobState, text: str) -> None:
        """A message of a job, with the job's name before each line."""
        for line in text.splitlines():
            self._view.print((job.name, "cyan"), " | ", line)

    def print_notice(self, text: str) -> None:
        """A message about the sweep itself."""
        self._view.print(f"a3c_exp: {text}")

    def restart_job(self, job: JobState, reason: str) -> None:
        """A job's process is lost, for no reason of its own, and the job waits to go on in another one."""
        self._running = [other for other in self._running if other is not job]
        if job.started:
            self._outcomes.num_started -= 1
        job.started, job.cores, job.progress = False, 0, None
        self.print_message(job, reason)

    def end_job(self, job: JobState) -> None:
        """A job has ended, for whatever reason."""
        self._num_ended += 1
        self._running = [other for other in self._running if other is not job]
        outcome, colon, details = job.final_line.partition(": ")
        style = "yellow" if job.status == "interrupted" else "bold red" if job.failure_reason is not None else "bold green"
        self._view.print((job.name, style), " | ", (outcome + colon, style), details)

    def announce_stop(self, once_more: str = "ends them at once") -> None:
        """Every job was asked to stop; ``once_more`` says what a second signal does."""
        self._stopping = True
        if self._running and not self._view.is_drawn:
            self._view.print(f"a3c_exp: stopping; each run saves a checkpoint first (once more {once_more})")

    def print_due_lines(self) -> None:
        """Progress of the running jobs, where no view is drawn."""
        for job in self._running:
            if (progress := job.progress) is not None and progress.env_steps > progress.run.start_env_step:
                self._view.print_if_due(partial(_job_line, job.name, progress), job.number)

    def close(self, stopped_by: str | None = None) -> None:
        """The launch is over."""
        self._view.close()
        if stopped_by:
            left = self._outcomes.total - self._outcomes.num_started
            not_started = f"; {left} {'was' if left == 1 else 'were'} not started" if left > 0 else ""
            go_on = f". Go on with resume={self._directory}" if is_sweep(self._directory) else ""
            self._view.print(f"a3c_exp: {self._directory}: stopped by {stopped_by}{not_started}{go_on}")

    def _counts(self, fraction: float) -> str:
        """``2 of 10 done · 2 running · 1 failed · 3 min 10 s, 5 min 02 s left``"""
        num_failed, total = len(self._outcomes.failures), self._outcomes.total
        failed = f" · {num_failed} failed" if num_failed else ""
        elapsed = time.monotonic() - self._start_time
        done_here = fraction - self._num_started_before / max(total, 1)
        remaining = f", {format_duration(elapsed * (1 - fraction) / done_here)} left" if done_here > 0.01 else ""
        counts = f"{self._num_ended} of {total} done · {len(self._running)} running{failed}"
        return f"{counts} · {format_duration(elapsed)}{remaining}"

    def _render(self, width: int, height: int) -> Table:
        jobs = list(self._running)
        running = sum((job.progress.fraction or 0.0) for job in jobs if job.progress)  # each by how far it is
        fraction = min(1.0, (self._num_ended + running) / max(self._outcomes.total, 1))
        state = Text("  stopping: each run saves a checkpoint", style="yellow") if self._stopping else Text()
        title = left_and_right(Text.assemble((self._directory.name, "bold"), state), self._counts(fraction))
        num_panels = sum(job.progress is not None for job in jobs)
        fits = num_panels * RUN_PANEL_HEIGHT + len(jobs) - num_panels + _HEADER_LINES <= height
        rows = [_job_panel(job, width) for job in jobs] if fits else [_job_table(jobs)]
        return stack(title, progress_row(fraction), *rows)


def _job_line(name: str, progress: RunProgress) -> str:
    return f"{name} | {progress_line(progress).lstrip()}"


def _job_panel(job: JobState, width: int) -> RenderableType:
    if job.progress is None:
        return Text.assemble((f"  {job.name}", "bold"), ("  starting", "dim"))
    return run_panel(job.progress, width, title=job.name)


def _job_table(jobs: Sequence[JobState]) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(width=_BAR_WIDTH)
    titles = ("", "steps/s", "evaluation", "left")
    for _ in titles:
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", "", *(Text(title, style="dim") for title in titles))
    for job in jobs:
        name, progress = Text(job.name, style="bold"), job.progress
        if progress is None:
            table.add_row(name, Text("starting", style="dim"))
            continue
        fraction, speed, remaining = progress.fraction or 0.0, progress.steps_per_second, progress.remaining_seconds
        average = "-" if progress.moving_average is None else f"mean {format_number(progress.moving_average)}"
        table.add_row(
            name,
            ProgressBar(total=1.0, completed=fraction, width=_BAR_WIDTH),
            format_percent(fraction),
            "-" if speed is None else f"{speed:,.0f}",
            format_evaluations(progress) if progress.last_evaluation else average,
            "-" if remaining is None else format_duration(remaining),
        )
    return table
