"""Several small axes in one figure that share what they measure, drawn to be read on a phone too."""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from a3c_exp.report.figures import svg
from a3c_exp.report.figures.style import STYLE, TEXT_SIZE, WIDTH
from a3c_exp.system.errors import A3CError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL_TEXT_SIZE = TEXT_SIZE - 1.5
_COLUMN_GAP = 10.0  # points between panels
_PNG_DPI = 216  # an inch: sharp on paper and on any screen
_PNG_OPTIONS = {"compress_level": 3}  # a third of the time, a tenth larger
Drawn = TypeVar("Drawn")


@dataclass(frozen=True, eq=False)
class CaptionedFigure:
    """A figure that was drawn.

    Attributes:
        name: of its file.
        title: what it shows, for screen readers and lists.
        caption: how to read it, a sentence or two.
        figure: matplotlib's; save it within ``with_figure_style``, or take ``svg_files``.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"


@dataclass(frozen=True)
class FigureFiles:
    """A figure as files.

    Attributes:
        name: of its files.
        caption: how to read it.
        standalone_svg: an SVG that stands alone, with a legend.
        inline_svg: the same as a part of a page, which has one legend for all.
        png: the same on white paper; empty where none was asked for.
        section: where it stands on the page.
        wide: whether it takes the page's whole width.
    """

    name: str
    caption: str
    standalone_svg: str
    inline_svg: str
    png: bytes = b""
    section: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Margins:
    """Points kept free around the panels of a figure."""

    left: float = 40.0
    right: float = 8.0
    top: float = 40.0
    bottom: float = 34.0
    column_gap: float = _COLUMN_GAP


def with_figure_style(draw: Callable[[], Drawn]) -> Drawn:
    """Call ``draw`` in the style of all figures.

    Raises:
        A3CError: matplotlib is not installed.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise A3CError('figures need matplotlib, which is not installed: pip install "a3c_exp[report]"') from error
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts have it
        return draw()


def svg_files(spec: CaptionedFigure) -> tuple[str, str]:
    """The figure as SVG: a file of its own, and a part of a page."""
    text = with_figure_style(lambda: svg_text(spec.figure))
    return svg.standalone(text, spec.title), svg.inline(text, spec.name, spec.title)


def svg_text(figure: "Figure") -> str:
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return svg.minify(target.getvalue())


def png_bytes(figure: "Figure") -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=_PNG_DPI, facecolor="white", metadata={"Software": None}, pil_kwargs=_PNG_OPTIONS)
    return target.getvalue()


def panel_grid(
    title: str, column_titles: Sequence[str], rows: int = 1, height: float = 100.0, margins: Margins | None = None
) -> tuple["Figure", list[list["Axes"]]]:
    """An empty figure with a bold title and ``rows`` of panels, one column for each of ``column_titles``.

    Args:
        title: of the whole.
        column_titles: what stands above each column.
        rows: of panels.
        height: of a panel, in points.
        margins: around them.

    Returns:
        The figure, and its axes by row and column.
    """
    from matplotlib.figure import Figure

    margins = margins or Margins()
    down = 24.0  # between rows, for what stands above the next
    total = margins.top + rows * height + (rows - 1) * down + margins.bottom
    figure = Figure(figsize=(WIDTH / 72, total / 72))
    wide = (WIDTH - margins.left - margins.right - (len(column_titles) - 1) * margins.column_gap) / len(column_titles)
    axes = []
    for row in range(rows):
        y = margins.bottom + (rows - 1 - row) * (height + down)
        places = [(margins.left + column * (wide + margins.column_gap), y) for column in range(len(column_titles))]
        axes.append([figure.add_axes((x / WIDTH, y / total, wide / WIDTH, height / total)) for x, y in places])
    for head, one in zip(column_titles, axes[0], strict=True):
        one.set_title(head, fontsize=SMALL_TEXT_SIZE - 0.3, loc="left", pad=4.0)
    figure.text(4.0 / WIDTH, 1.0 - 14.0 / total, title, fontsize=TEXT_SIZE, weight="bold")
    return figure, axes


def add_legend_row(figure: "Figure", entries: Sequence[tuple[str, dict[str, Any]]], top: float = 20.0) -> None:
    """One line of ``(label, line style)`` entries, ``top`` points below the figure's edge."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label, **style) for label, style in entries]
    figure.legend(handles=handles, ncols=len(handles), loc="upper left", fontsize=SMALL_TEXT_SIZE,
                  borderaxespad=0.0, borderpad=0.0,
                  bbox_to_anchor=(4.0 / WIDTH, 1.0 - top / 72 / figure.get_figheight()), handlelength=1.4,
                  handletextpad=0.5, columnspacing=1.2)  # fmt: skip


def align_end_ticks_inside(axes: "Axes") -> None:
    """Write the first and the last number of the horizontal axis inwards, so that neighboring panels' do not meet."""
    low, high = axes.get_xlim()
    inside = [tick for tick in axes.get_xticks() if low <= tick <= high]
    axes.set_xticks(inside)
    for tick, mark in zip(inside, axes.xaxis.get_major_ticks(len(inside)), strict=True):
        share = (tick - low) / (high - low)
        mark.label1.set_horizontalalignment("left" if share < 0.08 else "right" if share > 0.92 else "center")


def set_shared_x_label(figure: "Figure", text: str) -> None:
    """What the panels' common horizontal axis measures."""
    figure.text(0.5, 5.0 / 72 / figure.get_figheight(), text, ha="center", fontsize=TEXT_SIZE)
