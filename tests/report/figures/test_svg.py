"""Pictures get smaller, and stay the same pictures."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from a3c_exp.report.figures.svg import minify

COORDINATES = st.lists(st.tuples(*(st.floats(-5000, 5000),) * 2), min_size=13, max_size=60)


def drawn(path: str) -> list[list[tuple[float, float]]]:
    """The points of a path of ``M``, ``L``, ``l`` and ``z``, as a renderer reads it."""
    lines: list[list[tuple[float, float]]] = []
    for command, rest in re.findall(r"([MLlz])([^MLlz]*)", path):
        numbers = [float(text) for text in re.findall(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?", rest)]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if command == "M":
            lines.append([pairs.pop(0)])
        for x, y in pairs:
            before = lines[-1][-1] if command == "l" else (0.0, 0.0)
            lines[-1].append((before[0] + x, before[1] + y))
    return lines


def svg(path: str) -> str:
    return f'<?xml version="1.0"?>\n<svg><path d="{path}"/></svg>'


def path_of(text: str) -> str:
    (found,) = re.findall(r' d="([^"]*)"', text)
    return str(found)


@given(st.lists(COORDINATES, min_size=1, max_size=3), st.booleans())
def test_long_lines_are_the_same_to_a_tenth_of_a_point_however_long_they_are(
    lines: list[list[tuple[float, float]]], closed: bool
) -> None:
    end = " \nz" if closed else ""
    whole = " \n".join("M " + " \nL ".join(f"{x:f} {y:f}" for x, y in line) + end for line in lines) + " \n"
    short = path_of(minify(svg(whole)))
    assert len(short) < len(whole)
    assert short.count("z") == closed * len(lines)
    for given_line, found in zip(lines, drawn(short), strict=True):
        tenths = np.round(np.array([[float(f"{x:f}"), float(f"{y:f}")] for x, y in given_line]) * 10) / 10
        moved = [point for i, point in enumerate(tenths) if i == 0 or (point != tenths[i - 1]).any()]
        np.testing.assert_allclose(found[: len(moved)], moved, atol=1e-6)
        assert len(found) == max(2, len(moved)), "a line without length is still a line"


def test_a_small_sign_keeps_its_hundredths() -> None:
    sign = "M 0 1.513884 C 0.401474 1.513884 0.786608 1.354339 1.070485 1.070485 z"
    assert path_of(minify(svg(sign))) == "M 0 1.51 C 0.40 1.51 0.78 1.35 1.07 1.07 z"
    assert path_of(minify(svg("M 0 -3.5 L 1.234 3.5"))) == "M 0 -3.5 L 1.23 3.5"
