"""matplotlib's figures as SVG fit for a page: small, unique ids, the page's fonts, and colors that follow light and dark."""

import re
from dataclasses import dataclass
from html import escape
from itertools import product


@dataclass(frozen=True)
class ThemeColor:
    """One color, as drawn (on light paper) and as a dark screen shows it instead."""

    light: str
    dark: str


# Distinguishable in normal vision and under protanopia, deuteranopia and tritanopia (Machado et al. 2009): CIELAB distance
# at least 15 for each pair; contrast with the paper at least 3.4:1.
SERIES_COLORS = (
    ThemeColor("#0b5cc4", "#3d97ff"),
    ThemeColor("#e5631c", "#f0883e"),
    ThemeColor("#12967f", "#3fb892"),
    ThemeColor("#b765b0", "#d873b4"),
    ThemeColor("#6b3310", "#f4e45f"),
    ThemeColor("#2b3137", "#dfe3e8"),
)
OTHER_COLOR = ThemeColor("#8f959d", "#7d848c")  # configurations beyond the last color
TEXT_COLOR = ThemeColor("#5c636b", "#a3abb4")
GRID_COLOR = ThemeColor("#d9dce0", "#32383f")
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"


def dark_rules() -> str:
    """CSS that swaps each drawn color on a dark screen; other renderers and paper keep the light ones."""
    pairs = product((*SERIES_COLORS, OTHER_COLOR, TEXT_COLOR, GRID_COLOR), ("stroke", "fill"))
    rules = (f'svg [style*="{kind}: {color.light}"]{{{kind}:{color.dark}!important}}' for color, kind in pairs)
    return f"@media screen and (prefers-color-scheme:dark){{{''.join(rules)}}}"


def minify(svg: str) -> str:
    """Without prologue, metadata and needless digits: much smaller, and the same figure."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONTS}", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    return re.sub(r' d="([^"]*)"', lambda match: f' d="{_shorten_path(match[1])}"', svg)


def standalone(svg: str, title: str) -> str:
    """A file of its own: slim SVG with a title and a style sheet for dark screens."""
    head, body = svg.split(">", 1)
    style = f"<style>svg *{{stroke-linejoin:round}}{dark_rules()}</style>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n <title>{escape(title)}</title>\n {style}{body}'


def inline(svg: str, name: str, title: str) -> str:
    """A part of a page: as wide as its container, ids of its own, and a name for screen readers."""
    svg = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    svg = re.sub(r' (?:width|height)="[^"]*pt"', "", svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title, quote=True)}" ', 1)


def _shorten_path(path: str) -> str:
    decimals = r"(\.\d)\d+" if path.count("L") > 12 else r"(\.\d\d)\d+"  # a long line needs tenths only
    return re.sub(decimals, r"\1", path).replace(" \n", " ").replace("\n", " ").strip()
