"""How a sweep looks on a terminal: a panel for each running job while there is room for it, else a line for each."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from a3c_exp.loggers.panels import RUN_PANEL_HEIGHT, left_and_right, progress_row, run_panel, stack
from a3c_exp.loggers.progress import format_evaluations, format_percent
from a3c_exp.sweep.launcher.job_state import JobState
from a3c_exp.system.number_format import format_duration, format_number

_BAR_WIDTH = 16
_HEADER_LINES = 4


def sweep_view(
    name: str, counts: str, fraction: float, stopping: bool, jobs: Sequence[JobState], size: tuple[int, int]
) -> Table:
    """The whole view.

    Args:
        name, counts, fraction: of the sweep.
        stopping: its jobs were asked to stop.
        jobs: those that run.
        size: width and height of the terminal.
    """
    width, height = size
    state = Text("  stopping: each run saves a checkpoint", style="yellow") if stopping else Text()
    header = left_and_right(Text.assemble((name, "bold"), state), counts), progress_row(fraction)
    num_panels = sum(job.progress is not None for job in jobs)
    if num_panels * RUN_PANEL_HEIGHT + len(jobs) - num_panels + _HEADER_LINES > height:
        return stack(*header, _job_table(jobs))
    return stack(*header, *(_job_panel(job, width) for job in jobs))


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
