"""matplotlib's SVG made fit for a page: small, unique ids, the page's fonts, and colours that follow light and dark."""

import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise


@dataclass(frozen=True)
class ThemeColor:
    """One colour, as drawn (on light paper) and as a dark screen shows it instead."""

    light: str
    dark: str


# Told apart in normal vision and under protanopia, deuteranopia and tritanopia (Machado et al. 2009): CIELAB distance
# at least 15 for each pair; contrast with the paper at least 3.4:1.
SERIES_COLORS = (
    ThemeColor("#0b5cc4", "#3d97ff"),
    ThemeColor("#e5631c", "#f0883e"),
    ThemeColor("#12967f", "#3fb892"),
    ThemeColor("#b765b0", "#d873b4"),
    ThemeColor("#6b3310", "#f4e45f"),
    ThemeColor("#2b3137", "#dfe3e8"),
)
OTHER_COLOR = ThemeColor("#8f959d", "#7d848c")  # configurations beyond the last colour
TEXT_COLOR = ThemeColor("#5c636b", "#a3abb4")
GRID_COLOR = ThemeColor("#d9dce0", "#32383f")
_ALL_COLORS = (*SERIES_COLORS, OTHER_COLOR, TEXT_COLOR, GRID_COLOR)
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"

_NUMBER = r"-?\d+(?:\.\d+)?(?:e-\d+)?"
_LINE = re.compile(rf"M {_NUMBER} {_NUMBER}(?:\s+L {_NUMBER} {_NUMBER}){{12,}}(?:\s+z)?")
_LINES = re.compile(rf"\s*(?:{_LINE.pattern}\s*)+")
"""Long lines of straight pieces: those of small signs keep their hundredths."""


def dark_rules() -> str:
    """CSS that swaps each drawn colour on a dark screen; other renderers and paper keep the light ones."""
    rules = [
        f'svg [style*="{kind}: {ink.light}"]{{{kind}:{ink.dark}!important}}'
        for ink in _ALL_COLORS
        for kind in ("stroke", "fill")
    ]
    return "@media screen and (prefers-color-scheme:dark){" + "".join(rules) + "}"


def minify(svg: str) -> str:
    """Without prologue, metadata and needless digits: about half the size, the same picture."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONTS}", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    return re.sub(r' d="([^"]*)"', lambda match: f' d="{_short_path(match[1])}"', svg)


def standalone(svg: str, title: str) -> str:
    """A file of its own: slim SVG with a title and a style sheet for dark screens."""
    head, body = svg.split(">", 1)
    style = f"<style>svg *{{stroke-linejoin:round}}{dark_rules()}</style>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n <title>{escape(title)}</title>\n {style}{body}'


def inline(svg: str, name: str, title: str) -> str:
    """A part of a page: as wide as its place, ids of its own, and a name for screen readers."""
    svg = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    svg = re.sub(r' (?:width|height)="[^"]*pt"', "", svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title, quote=True)}" ', 1)


def _short_path(path: str) -> str:
    if _LINES.fullmatch(path):
        return " ".join(map(_relative_path, _LINE.findall(path)))
    return re.sub(r"(\.\d\d)\d+", r"\1", path).replace(" \n", " ").replace("\n", " ").strip()


def _relative_path(line: str) -> str:
    """``M 10 20 L 11.52 19.5 L ...`` to a tenth of a point, each step from where the last one came to: no error adds up."""
    numbers = [round(10 * float(number)) for number in re.findall(_NUMBER, line)]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    steps = [(x - before_x, y - before_y) for (before_x, before_y), (x, y) in pairwise(points)]
    moves = "".join(f"{_format_tenths(dx, ' ')}{_format_tenths(dy, ' ')}" for dx, dy in steps if dx or dy) or " 0 0"
    return f"M{_format_tenths(points[0][0])}{_format_tenths(points[0][1], ' ')}l{moves.lstrip()}{'z' * line.rstrip().endswith('z')}"


def _format_tenths(number: int, separator: str = "") -> str:
    """``.5`` for 5, ``-12`` for -120, with what must stand before a number that has no sign to set it apart."""
    text = f"{abs(number) / 10:g}"
    return ("-" if number < 0 else separator) + (text.removeprefix("0") if 0 < abs(number) < 10 else text)
