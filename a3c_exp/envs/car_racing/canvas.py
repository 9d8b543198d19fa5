"""CarRacing-v3's screen, drawn and shrunk by pygame without what is not visible.

gymnasium draws 1000x800 pixels upside down, turns them over, paints the status bar over the lower eighth, and shrinks all that.
The same pixels for less, in the order of what it saves:

- Of some 800 polygons about 40 touch the screen above the status bar. All are tested at once, in the plane of the track first.
- Shrinking makes rows shorter first, each by itself; so rows can be shortened before they are turned over, which is then a
  tenth of the work, and those under the status bar need not be shortened at all.
- The status bar is shortened a line of a kind at a time: ``status_bar``.

Two things must stay as they are, because they show: lines are clipped at the edge of the whole screen (a smaller clipping
rectangle would give them other slopes), and corners go through the same arithmetic, in double precision and in the same order.
"""

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import PLAYFIELD, WINDOW_H, WINDOW_W
from numpy.typing import NDArray
from pygame import gfxdraw

from a3c_exp.envs.car_racing.camera import Camera
from a3c_exp.envs.car_racing.scenery import Scenery
from a3c_exp.envs.car_racing.status_bar import STATUS_BAR, pixel_surface
from a3c_exp.envs.car_racing.vehicle import ScreenPolygons

_TRACK_HEIGHT = WINDOW_H - STATUS_BAR
_MARGIN = 2
"""Pixels around the screen within which a polygon counts as touching it: coordinates are truncated, and edges are smoothed."""
_BAR_OFFSET = np.array([0, STATUS_BAR])
FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
"""The corners of what the car may not leave."""


class ShrunkScreen:
    """The screen at a smaller size. Rows are shortened first, then turned over, then put together."""

    def __init__(self, width: int, height: int) -> None:
        narrow, self._narrow = pixel_surface(width, _TRACK_HEIGHT)
        self._upright = narrow[::-1]
        self._tall, self._tall_surface = pixel_surface(width, WINDOW_H)
        self.bar = self._tall[_TRACK_HEIGHT:]
        """``[100, width]``: the status bar, already shortened, as ``with_bar`` puts it below the rest."""
        small, self._small = pixel_surface(width, height)
        self._pixels = small.view(np.uint8).reshape(height, width, 4)

    def shrink_with_bar(self, above: pygame.Surface) -> NDArray[np.uint8]:
        """From what is above the status bar, upside down."""
        pygame.transform.smoothscale(above, self._narrow.get_size(), self._narrow)
        self._tall[:_TRACK_HEIGHT] = self._upright
        return self.shrink(self._tall_surface)

    def shrink(self, screen: pygame.Surface) -> NDArray[np.uint8]:
        pygame.transform.smoothscale(screen, self._small.get_size(), self._small)
        return self._pixels


class Canvas:
    """The screen, upside down.

    Attributes:
        surface: all of it.
        visible: what is above the status bar.
    """

    def __init__(self) -> None:
        _, self.surface = pixel_surface(WINDOW_W, WINDOW_H)
        self.visible = self.surface.subsurface((0, STATUS_BAR, WINDOW_W, _TRACK_HEIGHT))

    def draw_scenery(self, scenery: Scenery, camera: Camera) -> None:
        """In place of what was there before."""
        zoom, shift_x, shift_y, c, s = camera
        left, right, low, high = visible_bounds(camera)
        if all_is_field((left, right, low, high)):
            self.visible.fill(scenery.background_color)
        else:
            self.visible.fill(0)
            field = [((c * x - s * y) * zoom + shift_x, (s * x + c * y) * zoom + shift_y) for x, y in FIELD]
            gfxdraw.aapolygon(self.surface, field, scenery.background_color)
            gfxdraw.filled_polygon(self.surface, field, scenery.background_color)

        near = (scenery.low[0] < right) & (scenery.high[0] > left) & (scenery.low[1] < high) & (scenery.high[1] > low)
        places = near.nonzero()[0]
        x, y = scenery.corners.take(places, axis=2)
        drawn = np.empty((2, 4, len(places)), np.int64)  # gfxdraw truncates, as this does
        drawn[0] = (c * x - s * y) * zoom + shift_x
        drawn[1] = (s * x + c * y) * zoom + shift_y
        (least_x, least_y), (most_x, most_y) = drawn.min(1), drawn.max(1)
        touches = (most_x >= -_MARGIN) & (least_x <= WINDOW_W + _MARGIN)
        touches &= (most_y >= STATUS_BAR - _MARGIN) & (least_y <= WINDOW_H + _MARGIN)
        polygons = drawn[:, :, touches].transpose(2, 1, 0)
        colors = scenery.colors[places[touches]].astype(np.uint8).tolist()
        canvas, visible, outline, fill = self.surface, self.visible, gfxdraw.aapolygon, gfxdraw.filled_polygon
        for polygon, lowered, color in zip(polygons.tolist(), (polygons - _BAR_OFFSET).tolist(), colors, strict=True):
            outline(canvas, polygon, color)
            fill(visible, lowered, color)

    def draw_polygons(self, polygons: ScreenPolygons) -> None:
        """On top, with hard edges."""
        corners = polygons.corners.tolist()
        for first, count, color in polygons.parts.tolist():
            rgb = (color & 255, color >> 8 & 255, color >> 16)
            pygame.draw.polygon(self.surface, rgb, corners[first : first + count])


def visible_bounds(camera: Camera) -> tuple[float, float, float, float]:
    """The rectangle ``(left, right, low, high)`` of the track's plane around what the screen shows above the status bar."""
    zoom, shift_x, shift_y, c, s = camera
    us = [(px - shift_x) / zoom for px in (-_MARGIN, WINDOW_W + _MARGIN)]
    vs = [(py - shift_y) / zoom for py in (STATUS_BAR - _MARGIN, WINDOW_H + _MARGIN)]
    xs = [c * u + s * v for u in us for v in vs]
    ys = [c * v - s * u for u in us for v in vs]
    return min(xs) - 0.01, max(xs) + 0.01, min(ys) - 0.01, max(ys) + 0.01


def all_is_field(bounds: tuple[float, float, float, float]) -> bool:
    """Whether no edge of the field is within the bounds, so that all behind the scenery has one color."""
    left, right, low, high = bounds
    return max(-left, right, -low, high) < PLAYFIELD - 1
