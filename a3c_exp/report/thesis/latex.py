"""Texts and tables of a report in LaTeX."""

import re
import unicodedata

from a3c_exp.report.sections import Cell, Table
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.system.number_format import NO_VALUE

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': "''",
    "\N{MINUS SIGN}": r"$-$", "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{RIGHTWARDS ARROW}": r"$\to$", "\N{EN DASH}": "--", "\N{REPLACEMENT CHARACTER}": "?",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$", "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$", "\N{ALMOST EQUAL TO}": r"$\approx$",
}  # fmt: skip
for _letter in "αβγδεζηθικλμνξπρστυφχψω":  # which pdfLaTeX knows as mathematics only
    _name = unicodedata.name(_letter).split()[-1].lower().replace("lamda", "lambda")
    _ESCAPES[_letter] = rf"$\{_name}$"
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))


def escape_latex(text: str) -> str:
    r"""Any text, so that LaTeX prints it as it is; a minus before a number becomes a true one.

    >>> escape_latex("reward_scale=10 & 95 %: -0.5")
    'reward\\_scale=10 \\& 95 \\%: $-$0.5'
    """
    signed = re.sub(r"(?<![\w.)])-(?=[\d.])", "\N{MINUS SIGN}", printable(text))
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], signed)


def table_latex(table: Table) -> str:
    """A ``tabular`` as it stands on the page, to be put into a ``table`` with a caption of one's own."""
    texts = table.num_text_columns
    lines = [
        f"% {escape_latex(table.name)}. Needs \\usepackage{{booktabs}}",
        rf"\begin{{tabular}}{{{'l' * texts}{'r' * (len(table.columns) - texts)}}}",
        r"\toprule",
        _row([escape_latex(name) for name in table.columns]),
        r"\midrule",
        *(_row([_cell(cell) for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    # A bracket after \\ would be read as its argument, and so would one at the start of the next row.
    return " & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = "--" if cell.text == NO_VALUE else escape_latex(cell.text)
    return f"{text} {{\\footnotesize {escape_latex(cell.note)}}}".lstrip() if cell.note else text
