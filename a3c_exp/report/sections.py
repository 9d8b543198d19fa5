"""Parts of a report with something to say of their own: verdicts, pictures, tables, doubts. They stand first on the page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from a3c_exp.report.figures import multi_panel as panels
from a3c_exp.report.figures.multi_panel import CaptionedFigure
from a3c_exp.report.tables import Table

PNG_DPI = 216  # an inch, of PNG files: sharp on paper and on any screen
PNG_OPTIONS = {"compress_level": 3}  # of PNG files: a third of the time, a tenth larger


class Section(Protocol):
    """What the report asks of a part; ``PolicyPlot`` is one, ``ablations.Section`` another.

    Attributes:
        title: its heading.
        lead: the result in words, a paragraph.
        tables: those whose names begin with ``Verdicts`` stand before the pictures, all others after them.
        figures: figures of its own.
        notes: reasons for doubt, one sentence each.
    """

    @property
    def title(self) -> str: ...

    @property
    def lead(self) -> str: ...

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def figures(self) -> Sequence[CaptionedFigure]: ...

    @property
    def notes(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class PlainSection:
    """A plain section."""

    title: str
    lead: str
    tables: tuple[Table, ...] = ()
    figures: tuple[CaptionedFigure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FigureFiles:
    """A picture as files: an SVG of its own, the same as part of a page, and as PNG on white paper."""

    name: str
    caption: str
    standalone_svg: str
    inline_svg: str
    png: bytes = b""


@dataclass(frozen=True)
class RenderedSection:
    """A section with its place on the page, ``html_id``, and its pictures drawn."""

    html_id: str
    section: Section
    figures: tuple[FigureFiles, ...]

    @property
    def verdict_tables(self) -> list[Table]:
        """The tables that stand first."""
        return [table for table in self.section.tables if table.name.startswith("Verdicts")]

    @property
    def supporting_tables(self) -> list[Table]:
        """The others, on which they rest."""
        return [table for table in self.section.tables if not table.name.startswith("Verdicts")]


def render_section(html_id: str, section: Section, png: bool = True) -> RenderedSection:
    """Draw what ``section`` shows; as PNG too if ``png``."""
    return RenderedSection(html_id, section, tuple(_render_figure(picture, png) for picture in section.figures))


def _render_figure(figure_spec: CaptionedFigure, png: bool) -> FigureFiles:
    file, inline = panels.svg_files(figure_spec)
    if not png:
        return FigureFiles(figure_spec.name, figure_spec.caption, file, inline)
    target = io.BytesIO()
    how: dict[str, Any] = {"format": "png", "dpi": PNG_DPI, "facecolor": "white", "metadata": {"Software": None}}
    panels.with_figure_style(lambda: figure_spec.figure.savefig(target, pil_kwargs=PNG_OPTIONS, **how))
    return FigureFiles(figure_spec.name, figure_spec.caption, file, inline, target.getvalue())
