"""The rows that live views are made of, and the panel of one run. Imported only where a terminal draws them."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from a3c_exp.loggers import progress as texts
from a3c_exp.loggers.progress import RunProgress
from a3c_exp.system.number_format import format_number

RUN_PANEL_HEIGHT = 9


def stack(*rows: RenderableType) -> Table:
    """Rows below each other, each over the full width."""
    grid = Table.grid(expand=True)
    for row in rows:
        grid.add_row(row)
    return grid


def titled_panel(title: Text, *rows: RenderableType) -> Panel:
    return Panel(stack(*rows), title=title, title_align="left", border_style="dim")


def left_and_right(left: RenderableType, right: str) -> Table:
    """One line: what may be shortened on the left, what may not on the right."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True, style="dim")
    line.add_row(left, right)
    return line


def progress_row(fraction: float, right: str | None = None) -> Table:
    """A bar and, unless something else stands beside it, the percentage."""
    bar = ProgressBar(total=1.0, completed=fraction)
    return left_and_right(bar, texts.format_percent(fraction) if right is None else right)


def fitting_columns(columns: Sequence[Sequence[Text]], width: int, right_aligned: Sequence[int] = (), gap: int = 2) -> Table:
    """A table of ``columns``, each a list of equally many cells; those that find no room at the end stay away."""
    table = Table.grid(padding=(0, gap, 0, 0))
    shown: list[Sequence[Text]] = []
    for index, column in enumerate(columns):
        width -= max(cell_len(cell.plain) for cell in column) + gap
        if width < -gap and shown:
            break
        shown.append(column)
        table.add_column(no_wrap=True, justify="right" if index in right_aligned else "left")
    for row in zip(*shown, strict=True):
        table.add_row(*row)
    return table


def run_panel(progress: RunProgress, width: int, title: str | None = None) -> Panel:
    """A run as it stands: how far it is, its speed, and the numbers that say whether training works."""
    run = progress.run
    heading = Text(title or run.name, style="bold")
    if run.group and title is None:
        heading = Text.assemble((f"{run.group} / ", "dim"), heading)
    if progress.num_seeds > 1:
        heading = Text.assemble((f"mean of {progress.num_seeds} seeds · ", "dim"), heading)
    heading.truncate(max(width - 6, 1), overflow="ellipsis")
    rows: list[RenderableType] = [] if progress.fraction is None else [progress_row(progress.fraction)]
    rows.append(left_and_right(" · ".join(texts.format_counts(progress)), texts.format_times(progress)))
    # Statistics have a line from the start, or the view would jump.
    statistics = texts.format_statistics(progress.last_metrics) if progress.last_metrics else [("entropy", "-")]
    tables = [[(Text(name, "dim"), Text(value, "bold")) for name, value in pairs] for pairs in (_results(progress), statistics)]
    return titled_panel(heading, *rows, "", *(fitting_columns(columns, width - 4, gap=3) for columns in tables))


def _results(progress: RunProgress) -> list[tuple[str, str]]:
    """The most important first."""
    metrics, average, speed = progress.last_metrics, progress.moving_average, progress.steps_per_second
    lag, max_lag = (metrics.statistics.get(f"policy_lag_{kind}") if metrics else None for kind in ("mean", "max"))
    return [
        ("moving average", "-" if average is None else format_number(average)),
        ("steps/s in all" if progress.num_seeds > 1 else "steps/s", "-" if speed is None else f"{speed:,.0f}"),
        ("return", "-" if metrics is None or metrics.recent_return is None else format_number(metrics.recent_return)),
        ("evaluation", texts.format_evaluations(progress)),
        ("lag (max)", "-" if lag is None else f"{lag:.1f} ({max_lag})"),
    ]
