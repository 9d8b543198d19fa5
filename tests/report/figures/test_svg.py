"""Figures get smaller, and stay the same figures."""

from a3c_exp.report.figures.svg import minify


def svg(path: str) -> str:
    return f'<?xml version="1.0"?>\n<svg><path d="{path}"/></svg>'


def test_a_short_path_keeps_its_hundredths_and_a_long_line_its_tenths() -> None:
    curve = "M 0 1.513884 C 0.401474 1.513884 0.786608 1.354339 \n1.070485 1.070485 \nz"
    assert minify(svg(curve)) == '<svg><path d="M 0 1.51 C 0.40 1.51 0.78 1.35 1.07 1.07 z"/></svg>'
    assert minify(svg("M 0 -3.5 L 1.234 3.5")) == '<svg><path d="M 0 -3.5 L 1.23 3.5"/></svg>'
    line = "M 0 0.123 " + "L 1.234 3.567 " * 13
    assert minify(svg(line)) == '<svg><path d="' + ("M 0 0.1 " + "L 1.2 3.5 " * 13).strip() + '"/></svg>'
