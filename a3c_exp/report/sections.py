"""Sections of a report with verdicts, figures, tables and notes. They stand first on the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from a3c_exp.report.figures.multi_panel import CaptionedFigure, FigureFiles, png_bytes, svg_files, with_figure_style
from a3c_exp.report.tables import Table


class Section(Protocol):
    """What the report asks of a section; ``PlainSection`` is one, ``AblationSection`` another.

    Attributes:
        title: its heading.
        lead: the result in words, a paragraph.
        tables: those whose names begin with ``Verdicts`` stand before the figures, all others after them.
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
class RenderedSection:
    """A section with its place on the page, ``html_id``, and its figures drawn."""

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
    files = (
        FigureFiles(figure.name, figure.caption, *svg_files(figure), _png(figure) if png else b"") for figure in section.figures
    )
    return RenderedSection(html_id, section, tuple(files))


def _png(figure: CaptionedFigure) -> bytes:
    return with_figure_style(lambda: png_bytes(figure.figure))
