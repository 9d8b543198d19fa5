"""The picture of CarRacing-v3, pixel for pixel gymnasium's own, without drawing what is not visible.

gymnasium draws 1000x800 pixels upside down, turns them over, paints the status bar over the lower eighth, and shrinks all that.
The same pixels for less, in the order of what it saves:

- Of some 800 polygons about 40 touch the screen above the status bar. All are tested at once, in the plane of the track first.
- Shrinking makes rows shorter first, each by itself; so rows can be shortened before they are turned over, which is then a
  tenth of the work, and those under the status bar need not be shortened at all.
- The status bar is shortened a line of a kind at a time: ``status_bar``.

Two things must stay as they are, because they show: lines are clipped at the edge of the whole screen (a smaller clipping
rectangle would give them other slopes), and corners go through the same arithmetic, in double precision and in the same order.
"""

from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d import car_racing
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD, WINDOW_H, WINDOW_W, CarRacing
from numpy.typing import NDArray
from pygame import gfxdraw

from a3c_exp.envs.car_racing.status_bar import STATUS_BAR, StatusBar, indicators_overflow, pixel_surface
from a3c_exp.envs.car_racing.vehicle import CarOutline

_TRACK_HEIGHT = WINDOW_H - STATUS_BAR
_MARGIN = 2
"""Pixels around the screen within which a polygon counts as touching it: coordinates are truncated, and edges are smoothed."""
_BAR_OFFSET = np.array([0, STATUS_BAR])
_FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
_GRASS = [
    [(GRASS_DIM * x + GRASS_DIM * right, GRASS_DIM * y + GRASS_DIM * up) for right, up in ((1, 0), (0, 0), (0, 1), (1, 1))]
    for x in range(-20, 20, 2)
    for y in range(-20, 20, 2)
]


class Scenery:
    """What does not move in an episode, after ``game``'s reset: the patches of grass and the road, in drawing order.

    The game's own tiles are given colors that lie in one array here, so that a tile that changes its shade (when a wheel
    touches it) changes it here as well.
    """

    def __init__(self, game: CarRacing) -> None:
        road: list[tuple[Any, Any]] = game.road_poly
        bodies: Any = game.road
        corners = np.array(_GRASS + [[(p[0], p[1]) for p in poly] for poly, _ in road], np.float64)  # [N, 4, 2]
        self.corners = np.ascontiguousarray(corners.transpose(2, 1, 0))  # [2, 4, N]
        self.low, self.high = self.corners.min(1), self.corners.max(1)  # [2, N]
        self.colors = np.array([game.grass_color] * len(_GRASS) + [color for _, color in road], np.float64)  # [N, 3]
        tiles = iter(bodies)
        for index, (poly, color) in enumerate(road):
            if isinstance(color, np.ndarray):  # a border's is a tuple and never changes
                shade = self.colors[len(_GRASS) + index]
                next(tiles).color = shade
                road[index] = (poly, shade)
        self.background_color = [int(c) for c in game.bg_color]
        self.car = CarOutline(game.car)


class _ShrunkScreen:
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


class CarRacingRenderer:
    """Draws games. One serves any number of them, one after the other; it holds nothing but buffers."""

    def __init__(self) -> None:
        _, self._canvas = pixel_surface(WINDOW_W, WINDOW_H)
        self._visible = self._canvas.subsurface((0, STATUS_BAR, WINDOW_W, _TRACK_HEIGHT))
        self._status_bar = StatusBar()
        self._small = _ShrunkScreen(car_racing.STATE_W, car_racing.STATE_H)
        self._large = _ShrunkScreen(car_racing.VIDEO_W, car_racing.VIDEO_H)

    def state_pixels(self, game: CarRacing, scenery: Scenery, score: float) -> NDArray[np.uint8]:
        """What ``step`` returns, ``[96, 96, 4]``: RGB and a byte without meaning; overwritten by the next call. The status bar
        shows the ``score``."""
        self._draw_track(game, scenery, particles=False)
        return self._shrink(self._small, game, score)

    def picture(self, game: CarRacing, scenery: Scenery) -> NDArray[np.uint8]:
        """``[400, 600, 4]`` as ``render_mode="rgb_array"`` gives it, with tire marks; overwritten by the next call."""
        self._draw_track(game, scenery, particles=True)
        return self._shrink(self._large, game, game.reward)

    def _shrink(self, size: _ShrunkScreen, game: CarRacing, score: float) -> NDArray[np.uint8]:
        if indicators_overflow(game):
            screen = pygame.transform.flip(self._canvas, False, True)
            self._status_bar.draw(screen, game, score)
            return size.shrink(screen)
        self._status_bar.draw_shrunk(size.bar, game, score)
        return size.shrink_with_bar(self._visible)

    def _draw_track(self, game: CarRacing, scenery: Scenery, particles: bool) -> None:
        car: Any = game.car
        hull = car.hull
        angle = -hull.angle
        zoom = 0.1 * car_racing.SCALE * max(1 - game.t, 0) + car_racing.ZOOM * car_racing.SCALE * min(game.t, 1)
        x, y = hull.position
        scrolled = pygame.math.Vector2((-x * zoom, -y * zoom)).rotate_rad(angle)
        shift = (WINDOW_W / 2 + scrolled[0], WINDOW_H / 4 + scrolled[1])
        c, s = pygame.math.Vector2(1, 0).rotate_rad(angle)  # pygame's own, which are exact at right angles
        self._draw_scenery(scenery, zoom, shift, c, s)
        if particles:
            car.draw(self._canvas, zoom, shift, angle)
        else:
            for polygon, color in scenery.car.polygons(c, s, zoom, shift):
                pygame.draw.polygon(self._canvas, color, polygon)

    def _draw_scenery(self, scenery: Scenery, zoom: float, shift: tuple[float, float], c: float, s: float) -> None:
        left, right, low, high = _visible_bounds(zoom, shift, c, s)
        if max(-left, right, -low, high) < PLAYFIELD - 1:
            self._visible.fill(scenery.background_color)
        else:
            self._visible.fill(0)
            field = [((c * x - s * y) * zoom + shift[0], (s * x + c * y) * zoom + shift[1]) for x, y in _FIELD]
            gfxdraw.aapolygon(self._canvas, field, scenery.background_color)
            gfxdraw.filled_polygon(self._canvas, field, scenery.background_color)

        near = (scenery.low[0] < right) & (scenery.high[0] > left) & (scenery.low[1] < high) & (scenery.high[1] > low)
        places = near.nonzero()[0]
        x, y = scenery.corners.take(places, axis=2)
        drawn = np.empty((2, 4, len(places)), np.int64)  # gfxdraw truncates, as this does
        drawn[0] = (c * x - s * y) * zoom + shift[0]
        drawn[1] = (s * x + c * y) * zoom + shift[1]
        (least_x, least_y), (most_x, most_y) = drawn.min(1), drawn.max(1)
        touches = (most_x >= -_MARGIN) & (least_x <= WINDOW_W + _MARGIN)
        touches &= (most_y >= STATUS_BAR - _MARGIN) & (least_y <= WINDOW_H + _MARGIN)
        polygons = drawn[:, :, touches].transpose(2, 1, 0)
        colors = scenery.colors[places[touches]].astype(np.uint8).tolist()
        canvas, visible, outline, fill = self._canvas, self._visible, gfxdraw.aapolygon, gfxdraw.filled_polygon
        for polygon, lowered, color in zip(polygons.tolist(), (polygons - _BAR_OFFSET).tolist(), colors, strict=True):
            outline(canvas, polygon, color)
            fill(visible, lowered, color)


def _visible_bounds(zoom: float, shift: tuple[float, float], c: float, s: float) -> tuple[float, float, float, float]:
    """The rectangle ``(left, right, low, high)`` of the track's plane around what the screen shows above the status bar."""
    us = [(px - shift[0]) / zoom for px in (-_MARGIN, WINDOW_W + _MARGIN)]
    vs = [(py - shift[1]) / zoom for py in (STATUS_BAR - _MARGIN, WINDOW_H + _MARGIN)]
    xs = [c * u + s * v for u in us for v in vs]
    ys = [c * v - s * u for u in us for v in vs]
    return min(xs) - 0.01, max(xs) + 0.01, min(ys) - 0.01, max(ys) + 0.01


def rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``[height, width, 4]`` without the fourth byte, in an array of its own; plane by plane, which is four times as fast."""
    own = np.empty((*pixels.shape[:2], 3), np.uint8)
    for plane in range(3):
        own[..., plane] = pixels[..., plane]
    return own
