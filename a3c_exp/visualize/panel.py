"""A translucent panel with rounded corners, bars, lines and text, to lay over a picture."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int, int]

PANEL_COLOR: Color = (13, 16, 26, 218)
TEXT_COLOR: Color = (240, 243, 250, 255)
LABEL_COLOR: Color = (172, 181, 200, 255)
AXIS_COLOR: Color = (58, 64, 82, 226)
AREA_COLOR: Color = (52, 84, 132, 232)
"""Below a curve. Like the axis color it is opaque enough to replace what it covers."""
ACTION_COLOR: Color = (255, 183, 77, 255)
"""The action that was taken."""
PROBABILITY_COLOR: Color = (104, 160, 236, 255)
"""The probabilities of actions."""
VALUE_COLOR: Color = (110, 231, 183, 255)
"""The value."""

_SUPERSAMPLING = 3
"""Shapes are drawn this many times larger and reduced, which smooths their edges. Text is smooth already."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which every machine has. It has no Greek letters."""
    return ImageFont.load_default(size=size)


def text_width(text: str, size: int) -> float:
    """In pixels at scale 1."""
    return font(size).getlength(text)


class OverlayPanel:
    """Collects shapes and text, and draws them ``scale`` times larger.

    Args:
        width, height: of the panel, before scaling.
        scale: pixels of the picture to one of the panel.
    """

    def __init__(self, width: int, height: int, scale: int = 1, fill: Color = PANEL_COLOR, radius: float = 9) -> None:
        self._size = (width * scale, height * scale)
        self._scale = scale
        self._shapes = Image.new("RGBA", (self._size[0] * _SUPERSAMPLING, self._size[1] * _SUPERSAMPLING), (*fill[:3], 0))
        self._draw = ImageDraw.Draw(self._shapes)
        self._texts: list[tuple[tuple[float, float], str, int, Color, str]] = []
        self.box(0, 0, width, height, fill, radius)

    def box(self, x: float, y: float, width: float, height: float, fill: Color, radius: float = 0) -> None:
        """A filled rectangle with round corners."""
        f = self._scale * _SUPERSAMPLING
        corners = (x * f, y * f, (x + width) * f - 1, (y + height) * f - 1)
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._draw.rounded_rectangle(corners, radius * f, fill=fill)

    def line(self, points: Sequence[tuple[float, float]], fill: Color, width: float = 1.5) -> None:
        f = self._scale * _SUPERSAMPLING
        scaled = [(x * f, y * f) for x, y in points]
        if len(scaled) > 1:
            self._draw.line(scaled, fill=fill, width=max(1, round(width * f)), joint="curve")

    def area(self, points: Sequence[tuple[float, float]], fill: Color) -> None:
        """A filled polygon."""
        f = self._scale * _SUPERSAMPLING
        self._draw.polygon([(x * f, y * f) for x, y in points], fill=fill)

    def dot(self, x: float, y: float, radius: float, fill: Color) -> None:
        f = self._scale * _SUPERSAMPLING
        self._draw.ellipse(((x - radius) * f, (y - radius) * f, (x + radius) * f, (y + radius) * f), fill=fill)

    def text(self, x: float, y: float, text: str, size: int = 12, fill: Color = TEXT_COLOR, anchor: str = "lm") -> None:
        """``anchor`` as in Pillow: left, middle or right, then top, middle or baseline."""
        self._texts.append(((x * self._scale, y * self._scale), text, size * self._scale, fill, anchor))

    def image(self) -> Image.Image:
        image = self._shapes.reduce(_SUPERSAMPLING)
        draw = ImageDraw.Draw(image)
        for position, text, size, fill, anchor in self._texts:
            draw.text(position, text, font=font(size), fill=fill, anchor=anchor)
        return image
