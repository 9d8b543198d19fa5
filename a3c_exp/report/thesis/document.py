"""A document that shows all that a report makes for LaTeX, to see it printed and to copy from."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from a3c_exp.report.thesis.latex import escape_latex

_HEAD = r"""% Made by python -m a3c_exp.report --thesis. To print it, in this folder:
% pdflatex example && bibtex example && pdflatex example && pdflatex example
\documentclass{article}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{} % fonts of any size
\usepackage{booktabs} % for tables/*.tex
\usepackage{graphicx} % for figures/*.pdf
\usepackage{pgf} % for figures/*.pgf
\newcommand{\fit}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}} % no wider than the text
\begin{document}
"""
_FLOATS_A_PAGE = 4  # LaTeX keeps a limited number of them waiting


def example_document(files: Iterable[str], captions: Mapping[str, str]) -> str:
    """LaTeX of a document in ``thesis/``.

    Args:
        files: the names of the report's files: of each figure the PGF is taken if there is one, else the PDF.
        captions: of figures and tables by their names, without suffix.
    """
    names = set(files)
    floats = [_figure(name.removesuffix(".pdf"), names, captions) for name in sorted(names) if name.endswith(".pdf")]
    floats += [_table(name, captions) for name in sorted(names) if name.startswith("tables/") and name.endswith(".tex")]
    pages = ["\n".join(floats[at : at + _FLOATS_A_PAGE]) for at in range(0, len(floats), _FLOATS_A_PAGE)]
    end = "\\bibliographystyle{plain}\n\\bibliography{references}\n\\end{document}\n"
    return "\n".join([_HEAD, "\\input{methods}\n", *(f"{page}\\clearpage\n" for page in pages), end])


def _figure(path: str, names: set[str], captions: Mapping[str, str]) -> str:
    drawn = rf"\input{{../{path}.pgf}}" if f"{path}.pgf" in names else rf"\includegraphics{{../{path}.pdf}}"
    return _float("figure", path, captions, rf"\fit{{{drawn}}}", "")


def _table(path: str, captions: Mapping[str, str]) -> str:
    return _float("table", path.removesuffix(".tex"), captions, "", rf"\medskip\fit{{\input{{../{path}}}}}")


def _float(kind: str, path: str, captions: Mapping[str, str], above: str, below: str) -> str:
    """A float, which has its caption below a figure and above a table."""
    name = PurePath(path).name
    caption = rf"\caption{{{escape_latex(captions.get(path, name))}}}\label{{{kind[:3]}:{name}}}"
    inside = "\n".join(filter(None, [above, caption, below]))
    return f"\\begin{{{kind}}}[ht]\n\\centering\n{inside}\n\\end{{{kind}}}\n"
