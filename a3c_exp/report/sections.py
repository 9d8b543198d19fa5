"""Parts of a report with something to say of their own: verdicts, pictures, tables, doubts. They stand first on the page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from a3c_exp.report.figures import multi_panel as panels
from a3c_exp.report.figures.multi_panel import Picture
from a3c_exp.report.tables import Table

DOTS = 216  # an inch, of PNG files: sharp on paper and on any screen
QUICKLY = {"compress_level": 3}  # of PNG files: a third of the time, a tenth larger


class Section(Protocol):
    """What the report asks of a part; ``PolicyPlot`` is one, ``ablations.Section`` another.

    Attributes:
        title: its heading.
        lead: the result in words, a paragraph.
        tables: those whose names begin with ``Verdicts`` stand before the pictures, all others after them.
        pictures: figures of its own.
        notes: reasons for doubt, one sentence each.
    """

    @property
    def title(self) -> str: ...

    @property
    def lead(self) -> str: ...

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def pictures(self) -> Sequence[Picture]: ...

    @property
    def notes(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Part:
    """A plain section."""

    title: str
    lead: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendered:
    """A picture as files: an SVG of its own, the same as part of a page, and as PNG on white paper."""

    name: str
    caption: str
    file: str
    inline: str
    image: bytes = b""


@dataclass(frozen=True)
class Placed:
    """A section with its place on the page, ``identity``, and its pictures drawn."""

    identity: str
    section: Section
    pictures: tuple[Rendered, ...]

    @property
    def verdicts(self) -> list[Table]:
        """The tables that stand first."""
        return [table for table in self.section.tables if table.name.startswith("Verdicts")]

    @property
    def grounds(self) -> list[Table]:
        """The others, on which they rest."""
        return [table for table in self.section.tables if not table.name.startswith("Verdicts")]


def placed(identity: str, section: Section, images: bool = True) -> Placed:
    """Draw what ``section`` shows; as PNG too if ``images``."""
    return Placed(identity, section, tuple(_rendered(picture, images) for picture in section.pictures))


def _rendered(picture: Picture, images: bool) -> Rendered:
    file, inline = panels.files(picture)
    if not images:
        return Rendered(picture.name, picture.caption, file, inline)
    target = io.BytesIO()
    how: dict[str, Any] = {"format": "png", "dpi": DOTS, "facecolor": "white", "metadata": {"Software": None}}
    panels.styled(lambda: picture.figure.savefig(target, pil_kwargs=QUICKLY, **how))
    return Rendered(picture.name, picture.caption, file, inline, target.getvalue())
