"""A part of a report with something to say of its own: verdicts, figures, tables. How it looks on a page is in ``page``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from a3c_exp.analysis.figures import Drawing
from a3c_exp.analysis.tables import Table


class Section(Protocol):
    """What ``report`` asks of a part; ``Part`` is one, and others may make their own.

    Attributes:
        identity: its place on the page and the start of its files' names, such as ``ablations``.
        title: its heading.
        lead: paragraphs that say the result in words, before anything else.
        verdicts: tables that stand first, before any figure.
        figures: drawn, each with its caption.
        tables: what the verdicts rest on, after the figures.
    """

    @property
    def identity(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def lead(self) -> Sequence[str]: ...

    @property
    def verdicts(self) -> Sequence[Table]: ...

    @property
    def figures(self) -> Sequence[Drawing]: ...

    @property
    def tables(self) -> Sequence[Table]: ...


@dataclass(frozen=True)
class Part:
    """A plain section."""

    identity: str
    title: str
    lead: tuple[str, ...] = ()
    verdicts: tuple[Table, ...] = ()
    figures: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
