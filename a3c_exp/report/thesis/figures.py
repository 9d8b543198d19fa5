"""Figures for paper: as PDF with fonts of their own, and as PGF, whose texts are set in the fonts of the document."""

import io
import shutil
from collections.abc import Mapping
from typing import Any

from a3c_exp.report.figures.style import Figure
from a3c_exp.report.thesis.latex import escape_latex
from a3c_exp.system.errors import first_line

_PROGRAMS = ("pdflatex", "xelatex", "lualatex")
_INSTALL = "Install TeX Live with pgf and underscore.sty (Debian, Ubuntu: texlive-latex-extra)"


class PaperFormats:
    """Saves figures as PDF and PGF, the latter if there is a LaTeX, which has to measure the texts.

    Attributes:
        notices: what was left out, and why; a line each.
    """

    def __init__(self) -> None:
        self.notices: list[str] = []
        self._latex = next(filter(shutil.which, _PROGRAMS), None)
        if self._latex is None:
            self.notices.append(f"figures/*.pgf are left out, since no LaTeX is installed. {_INSTALL}")

    def save(self, figure: Figure) -> Mapping[str, bytes]:
        """The files of a figure by their suffixes, within ``figure_style``. Its texts are LaTeX's afterwards: save it last."""
        paper = io.BytesIO()
        figure.savefig(paper, format="pdf", transparent=True, metadata={"CreationDate": None})
        files = {"pdf": paper.getvalue()}
        if self._latex is not None and (picture := self._pgf(figure, self._latex)):
            files["pgf"] = picture
        return files

    def _pgf(self, figure: Figure, program: str) -> bytes:
        from matplotlib import rc_context
        from matplotlib.backends.backend_pgf import LatexError

        _set_for_latex(figure)
        target = io.BytesIO()
        try:
            with rc_context({"pgf.texsystem": program, "pgf.rcfonts": False}):
                figure.savefig(target, format="pgf", transparent=True)
        except LatexError as error:  # it did not even start
            said = [line for line in error.latex_output.splitlines() if line.startswith("!")]
            reason = f"{program}: {said[0].strip('! ') if said else first_line(error)}"
            self.notices.append(f"figures/*.pgf are left out, since LaTeX does not work here ({reason}). {_INSTALL}")
            self._latex = None
        except (RuntimeError, ValueError) as error:  # of one text: of another script, with pdflatex
            self.notices.append(f"a figure as PGF is left out: {first_line(error)[:200]}. Use its PDF")
        else:
            return target.getvalue()
        return b""


def _set_for_latex(figure: Figure) -> None:
    """Replace all texts, those that numbers on axes get when they are drawn included, by what LaTeX prints like them."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import Formatter

    class Escaped(Formatter):
        """Another formatter's texts."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __call__(self, value: float, position: int | None = None) -> str:
            return _escape_lines(self._inner(value, position))

        def format_ticks(self, values: Any) -> list[str]:
            return [_escape_lines(text) for text in self._inner.format_ticks(values)]

        def get_offset(self) -> str:
            return _escape_lines(self._inner.get_offset())

    for text in figure.findobj(Text):
        text.set_text(_escape_lines(text.get_text()))
    for axis in figure.findobj(Axis):
        axis.set_major_formatter(Escaped(axis.get_major_formatter()))


def _escape_lines(text: str) -> str:
    return "\n".join(map(escape_latex, text.split("\n")))
