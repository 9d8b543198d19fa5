"""A figure of one or several axes under a title, drawn to be read on a phone too; what stands around it, and its files."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

from a3c_exp.report.figures import svg
from a3c_exp.report.figures.style import CHARACTER_WIDTH, SMALL_TEXT_SIZE, TEXT_SIZE, WIDTH, Axes, Figure, set_number_ticks

# Dots an inch: sharp on paper and on any screen. The level of compression: a third of the time, a tenth larger.
_PNG_OPTIONS: dict[str, Any] = {"dpi": 216, "pil_kwargs": {"compress_level": 3}}
_SMALL_CHARACTER_WIDTH = 4.4  # points, about
_ROW_GAP = 24.0  # points between rows, for what stands above the next
_LEGEND_STYLE: dict[str, Any] = {
    "loc": "upper left", "borderaxespad": 0.0, "handlelength": 1.4, "handletextpad": 0.5, "columnspacing": 1.2,
}  # fmt: skip
LineStyle = dict[str, Any]  # keyword arguments of matplotlib's Line2D


@dataclass(frozen=True)
class Margins:
    """Points kept free around the panels of a figure and between them; and from the upper edge to the title's baseline."""

    left: float = 46.0
    right: float = 8.0
    top: float = 40.0
    bottom: float = 34.0
    column_gap: float = 10.0
    title: float = 14.0


@dataclass(frozen=True, eq=False)
class CaptionedFigure:
    """A figure that was drawn."""

    name: str  #: of its files
    title: str  #: what it shows, for screen readers and lists
    caption: str  #: how to read it, a sentence or two
    figure: Figure
    section: str = ""  #: where it stands on the page
    wide: bool = False  #: whether it takes the page's whole width
    #: A heading, and label and color of each line: what only the files need, since a page has one legend for all.
    legend: tuple[str, Sequence[tuple[str, str]]] | None = None


@dataclass(frozen=True)
class FigureFiles:
    """A figure as files, and as a part of a page; ``png`` may be empty. Else as in ``CaptionedFigure``."""

    name: str
    caption: str
    section: str
    wide: bool
    inline_svg: str
    standalone_svg: str
    png: bytes
    paper: Mapping[str, bytes] = field(default_factory=dict)  #: by suffix, what only a thesis needs


def render_figure(
    drawn: CaptionedFigure, png: bool = False, save_for_paper: Callable[[Figure], Mapping[str, bytes]] | None = None
) -> FigureFiles:
    """Save a figure, within ``figure_style``; as PNG on white paper too if ``png``, and as ``save_for_paper`` does, which may
    use the figure up."""
    figure = drawn.figure
    page = file = _svg_text(figure)
    if drawn.legend is not None:
        _add_legend_rows(figure, *drawn.legend)
        file = _svg_text(figure)
    image = io.BytesIO()
    if png:
        figure.savefig(image, format="png", facecolor="white", metadata={"Software": None}, **_PNG_OPTIONS)
    paper = save_for_paper(figure) if save_for_paper is not None else {}
    inline, standalone = svg.inline(page, drawn.name, drawn.title), svg.standalone(file, drawn.title)
    return FigureFiles(drawn.name, drawn.caption, drawn.section, drawn.wide, inline, standalone, image.getvalue(), paper)


def panel_grid(
    title: str, column_titles: Sequence[str] = ("",), rows: int = 1, *, height: float, margins: Margins, width: float = WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure with a bold title and ``rows`` of panels, one column for each of ``column_titles``, which may be empty,
    and its axes by row and column; ``height`` is a panel's, ``width`` the whole figure's, in points."""
    from matplotlib.figure import Figure

    columns = len(column_titles)
    total = margins.top + rows * height + (rows - 1) * _ROW_GAP + margins.bottom
    figure = Figure(figsize=(width / 72, total / 72))
    wide = (width - margins.left - margins.right - (columns - 1) * margins.column_gap) / columns
    axes = []
    for row in range(rows):
        y = margins.bottom + (rows - 1 - row) * (height + _ROW_GAP)
        places = [margins.left + column * (wide + margins.column_gap) for column in range(columns)]
        axes.append([figure.add_axes((x / width, y / total, wide / width, height / total)) for x in places])
    for head, one in zip(column_titles, axes[0], strict=True):
        if head:
            one.set_title(head, fontsize=SMALL_TEXT_SIZE - 0.3, loc="left", pad=4.0)
    figure.text(4.0 / width, 1.0 - margins.title / total, title, fontsize=TEXT_SIZE, weight="bold")
    return figure, axes


def new_plot(
    title: str, x_label: str, height: float, margins: Margins, whole_numbers: bool = False, num_y_ticks: int = 5
) -> tuple[Figure, Axes]:
    """A figure of one panel, with numbers on both axes: ``whole_numbers`` on the horizontal one, which measures ``x_label``."""
    figure, ((axes,),) = panel_grid(title, height=height, margins=margins)
    set_number_ticks(axes.xaxis, 5, whole_numbers)
    set_number_ticks(axes.yaxis, num_y_ticks)
    axes.set_xlabel(x_label, labelpad=2.0)
    return figure, axes


def add_legend_row(figure: Figure, entries: Sequence[tuple[str, LineStyle]], top: float = 20.0) -> None:
    """One line of ``(label, line style)`` entries, ``top`` points below the figure's edge."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label, **style) for label, style in entries]
    anchor = (4.0 / WIDTH, 1.0 - top / 72 / figure.get_figheight())
    figure.legend(handles=handles, ncols=len(handles), fontsize=SMALL_TEXT_SIZE, borderpad=0.0, bbox_to_anchor=anchor,
                  **_LEGEND_STYLE)  # fmt: skip


def series_entries(labels: Sequence[str], **style: Any) -> list[tuple[str, LineStyle]]:
    """Entries of ``add_legend_row`` in the colors of series, in their order."""
    return [(label, {**style, "color": color.light}) for label, color in zip(labels, svg.SERIES_COLORS, strict=False)]


def align_end_ticks_inside(axes: Axes) -> None:
    """Write the first and the last number of the horizontal axis inwards, so that neighboring panels' do not meet."""
    low, high = axes.get_xlim()
    inside = [tick for tick in axes.get_xticks() if low <= tick <= high]
    axes.set_xticks(inside)
    for tick, mark in zip(inside, axes.xaxis.get_major_ticks(len(inside)), strict=True):
        share = (tick - low) / (high - low)
        mark.label1.set_horizontalalignment("left" if share < 0.08 else "right" if share > 0.92 else "center")


def set_y_label(axes: Axes, text: str) -> None:
    """What the vertical axis measures, in as many lines as its height asks for."""
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    axes.set_ylabel(fill(text, int(height / _SMALL_CHARACTER_WIDTH)), fontsize=SMALL_TEXT_SIZE, labelpad=2.0, linespacing=1.0)


def set_shared_x_label(figure: Figure, text: str) -> None:
    """What the panels' common horizontal axis measures."""
    figure.text(0.5, 5.0 / 72 / figure.get_figheight(), text, ha="center", fontsize=TEXT_SIZE)


def _svg_text(figure: Figure) -> str:
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return svg.minify(target.getvalue())


def _add_legend_rows(figure: Figure, title: str, entries: Sequence[tuple[str, str]]) -> None:
    """Make room under the figure's title and write ``(label, color)`` entries there, in as many rows as they need."""
    from matplotlib.lines import Line2D

    widest = max(len(label) for label, _ in entries) * CHARACTER_WIDTH + 32.0
    columns = max(1, int((WIDTH - 8.0) // widest))
    handles = [Line2D([], [], color=color, linewidth=2.0, label=label) for label, color in entries]
    old = figure.get_figheight() * 72
    new = old + (math.ceil(len(handles) / columns) + bool(title)) * (TEXT_SIZE + 5.0) + 4.0
    for item in figure.texts:
        item.set_y(1.0 - (1.0 - item.get_position()[1]) * old / new)
    (axes,) = figure.axes
    box = axes.get_position()
    bottom, height = box.y0 * old, box.height * old
    axes.set_position((box.x0, bottom / new, box.width, height / new))
    figure.set_figheight(new / 72)
    figure.legend(handles=handles, title=title or None, ncols=columns, alignment="left", borderpad=0.4, labelspacing=0.4,
                  bbox_to_anchor=(0.0, 1.0 - (old - bottom - height - 8.0) / new), **_LEGEND_STYLE)  # fmt: skip
