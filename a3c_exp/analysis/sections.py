"""Parts of a report with something to say of their own: verdicts, pictures, tables, doubts. They stand first on the page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from a3c_exp.analysis import panels
from a3c_exp.analysis.panels import Picture
from a3c_exp.analysis.tables import Table

DOTS = 216  # an inch, of PNG files: sharp on paper and on any screen


class Section(Protocol):
    """What the report asks of a part; ``Part`` is one, ``ablations.Section`` another.

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
    image: bytes


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


def placed(identity: str, section: Section) -> Placed:
    """Draw what ``section`` shows."""
    return Placed(identity, section, tuple(map(_rendered, section.pictures)))


def _rendered(picture: Picture) -> Rendered:
    file, inline = panels.files(picture)
    target = io.BytesIO()
    panels.styled(
        lambda: picture.figure.savefig(target, format="png", dpi=DOTS, facecolor="white", metadata={"Software": None})
    )
    return Rendered(picture.name, picture.caption, file, inline, target.getvalue())
