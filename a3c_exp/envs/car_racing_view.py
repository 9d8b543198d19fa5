"""The picture of CarRacing-v3, pixel for pixel gymnasium's own, without drawing what nobody sees.

gymnasium draws 1000x800 pixels upside down, turns them over, paints the status bar over the lower eighth, and shrinks all that.
The same pixels for less, in the order of what it saves:

- Of some 800 polygons about 40 touch the screen above the status bar. All are tested at once, in the plane of the track first.
- Shrinking makes rows shorter first, each by itself; so rows can be shortened before they are turned over, which is then a
  tenth of the work, and those under the status bar need not be shortened at all.
- The font is opened once, and each number is rendered once.

Two things must stay as they are, because they show: lines are clipped at the edge of the whole screen (a smaller clipping
rectangle would give them other slopes), and corners go through the same arithmetic, in double precision and in the same order.
"""

import math
from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import (
    GRASS_DIM,
    PLAYFIELD,
    SCALE,
    STATE_H,
    STATE_W,
    VIDEO_H,
    VIDEO_W,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)
from numpy.typing import NDArray
from pygame import gfxdraw

STATUS_BAR = WINDOW_H // 8
"""Height of the status bar; the picture above it is what is drawn of the track."""
_ABOVE = WINDOW_H - STATUS_BAR
_MARGIN = 2.0
"""Pixels around the screen within which a polygon counts as touching it: coordinates are truncated, and edges are smoothed."""

_FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
_GRASS = [
    [
        (GRASS_DIM * x + GRASS_DIM, GRASS_DIM * y + 0),
        (GRASS_DIM * x + 0, GRASS_DIM * y + 0),
        (GRASS_DIM * x + 0, GRASS_DIM * y + GRASS_DIM),
        (GRASS_DIM * x + GRASS_DIM, GRASS_DIM * y + GRASS_DIM),
    ]
    for x in range(-20, 20, 2)
    for y in range(-20, 20, 2)
]


class Scenery:
    """What stays where it is for an episode: the patches of grass and the road, in the order in which they are drawn.

    Args:
        game: after its reset.
    """

    def __init__(self, game: CarRacing) -> None:
        road: list[Any] = game.road_poly
        self.corners = np.array(_GRASS + [[(p[0], p[1]) for p in poly] for poly, _ in road], np.float64)  # [N, 4, 2]
        self.low = np.ascontiguousarray(self.corners.min(1).T)  # [2, N]
        self.high = np.ascontiguousarray(self.corners.max(1).T)
        self.ground = [int(c) for c in game.bg_color]
        grass = [int(c) for c in game.grass_color]
        # A tile's array is written into when a wheel touches it: it turns from its own shade to the road's.
        self.colors: list[Any] = [grass] * len(_GRASS) + [color for _, color in road]


class CarRacingView:
    """Draws games. One serves any number of them, one after the other; it keeps nothing but room to draw in."""

    def __init__(self) -> None:
        pygame.font.init()
        self._font = pygame.font.Font(pygame.font.get_default_font(), 42)
        self._numbers: dict[str, pygame.Surface] = {}
        _, self._canvas = _surface(WINDOW_W, WINDOW_H)
        self._seen = self._canvas.subsurface((0, STATUS_BAR, WINDOW_W, _ABOVE))
        _, self._bar = _surface(WINDOW_W, STATUS_BAR)
        narrow, self._narrow = _surface(STATE_W, _ABOVE)
        self._narrow_upright = narrow[::-1]
        self._tall, self._tall_surface = _surface(STATE_W, WINDOW_H)
        self._narrow_bar = self._tall_surface.subsurface((0, _ABOVE, STATE_W, STATUS_BAR))
        small, self._small = _surface(STATE_W, STATE_H)
        self._small_pixels = small.view(np.uint8).reshape(STATE_H, STATE_W, 4)
        video, self._video = _surface(VIDEO_W, VIDEO_H)
        self._video_pixels = video.view(np.uint8).reshape(VIDEO_H, VIDEO_W, 4)
        self._whole: NDArray[np.uint32] | None = None

    def state_pixels(self, game: CarRacing, scenery: Scenery) -> NDArray[np.uint8]:
        """``[96, 96, 4]``, RGB and a byte of no meaning; overwritten by the next call."""
        self._draw_above(game, scenery, particles=False)
        smoothscale = pygame.transform.smoothscale
        if _bar_overflows(game):
            self._finish_whole(game)
            smoothscale(self._upright, (STATE_W, STATE_H), self._small)
        else:
            smoothscale(self._seen, (STATE_W, _ABOVE), self._narrow)
            self._tall[:_ABOVE] = self._narrow_upright
            self._draw_bar(self._bar, game, _ABOVE)
            smoothscale(self._bar, (STATE_W, STATUS_BAR), self._narrow_bar)
            smoothscale(self._tall_surface, (STATE_W, STATE_H), self._small)
        return self._small_pixels

    def picture(self, game: CarRacing, scenery: Scenery) -> NDArray[np.uint8]:
        """``[400, 600, 4]`` as ``render_mode="rgb_array"`` gives it, with tyre marks; overwritten by the next call."""
        self._draw_above(game, scenery, particles=True)
        self._finish_whole(game)
        pygame.transform.smoothscale(self._upright, (VIDEO_W, VIDEO_H), self._video)
        return self._video_pixels

    def _finish_whole(self, game: CarRacing) -> None:
        """The screen at its full size."""
        self._upright = pygame.transform.flip(self._canvas, False, True)
        self._draw_bar(self._upright, game, 0)

    def _draw_above(self, game: CarRacing, scenery: Scenery, particles: bool) -> None:
        car: Any = game.car
        hull = car.hull
        angle = -hull.angle
        zoom = 0.1 * SCALE * max(1 - game.t, 0) + ZOOM * SCALE * min(game.t, 1)
        x, y = hull.position
        scrolled = pygame.math.Vector2((-x * zoom, -y * zoom)).rotate_rad(angle)
        shift = (WINDOW_W / 2 + scrolled[0], WINDOW_H / 4 + scrolled[1])
        self._draw_scenery(scenery, zoom, shift, angle)
        car.draw(self._canvas, zoom, shift, angle, particles)

    def _draw_scenery(self, scenery: Scenery, zoom: float, shift: tuple[float, float], angle: float) -> None:
        c, s = pygame.math.Vector2(1, 0).rotate_rad(angle)  # pygame's own, which are exact at right angles
        left, right, low, high = _footprint(zoom, shift, c, s)
        if max(-left, right, -low, high) < PLAYFIELD - 1:
            self._canvas.fill(scenery.ground)
        else:
            self._canvas.fill(0)
            field = [((c * x - s * y) * zoom + shift[0], (s * x + c * y) * zoom + shift[1]) for x, y in _FIELD]
            gfxdraw.aapolygon(self._canvas, field, scenery.ground)
            gfxdraw.filled_polygon(self._canvas, field, scenery.ground)

        near = (scenery.low[0] < right) & (scenery.high[0] > left) & (scenery.low[1] < high) & (scenery.high[1] > low)
        places = near.nonzero()[0]
        corners = scenery.corners[places]
        x, y = corners[..., 0], corners[..., 1]
        drawn = np.empty_like(corners)
        drawn[..., 0] = (c * x - s * y) * zoom + shift[0]
        drawn[..., 1] = (s * x + c * y) * zoom + shift[1]
        least, most = drawn.min(1), drawn.max(1)
        touches = (most[:, 0] >= -_MARGIN) & (least[:, 0] <= WINDOW_W + _MARGIN)
        touches &= (most[:, 1] >= STATUS_BAR - _MARGIN) & (least[:, 1] <= WINDOW_H + _MARGIN)
        canvas, colors = self._canvas, scenery.colors
        outline, fill = gfxdraw.aapolygon, gfxdraw.filled_polygon
        for place, polygon in zip(places[touches].tolist(), drawn[touches].tolist(), strict=True):
            color = [int(shade) for shade in colors[place]]
            outline(canvas, polygon, color)
            fill(canvas, polygon, color)

    def _draw_bar(self, surface: pygame.Surface, game: CarRacing, top: int) -> None:
        """The status bar, on a surface whose first row is row ``top`` of the screen."""
        width, height = WINDOW_W, WINDOW_H
        surface.fill(0, (0, _ABOVE - top, width, STATUS_BAR))
        for points, color in _indicators(game):
            pygame.draw.polygon(surface, color, [(int(px), int(py) - top) for px, py in points])
        number = f"{game.reward:04.0f}"
        text = self._numbers.get(number)
        if text is None:
            text = self._numbers[number] = self._font.render(number, True, (255, 255, 255), (0, 0, 0))
        place = text.get_rect()
        place.center = (60, int(height - height * 2.5 / 40.0) - top)
        surface.blit(text, place)


def _indicators(game: CarRacing) -> list[tuple[list[tuple[float, float]], tuple[int, int, int]]]:
    """The indicators that are long enough to be drawn, with their colours: as in gymnasium's ``_render_indicators``."""
    s, h, bottom = WINDOW_W / 40.0, WINDOW_H / 40.0, WINDOW_H
    car: Any = game.car
    wheels, hull = car.wheels, car.hull

    def vertical(place: int, value: float) -> list[tuple[float, float]]:
        end = bottom - (h + h * value)
        return [(place * s, end), ((place + 1) * s, end), ((place + 1) * s, bottom - h), ((place + 0) * s, bottom - h)]

    def horizontal(place: int, value: float) -> list[tuple[float, float]]:
        end = (place + value) * s
        return [(place * s, bottom - 4 * h), (end, bottom - 4 * h), (end, bottom - 2 * h), (place * s, bottom - 2 * h)]

    vx, vy = hull.linearVelocity
    speed = math.sqrt(vx * vx + vy * vy)
    found = []
    if abs(speed) > 1e-4:
        found.append((vertical(5, 0.02 * speed), (255, 255, 255)))
    for place, wheel, color in zip((7, 8, 9, 10), wheels, ((0, 0, 255), (0, 0, 255), (51, 0, 255), (51, 0, 255)), strict=True):
        if abs(wheel.omega) > 1e-4:
            found.append((vertical(place, 0.01 * wheel.omega), color))
    steering = wheels[0].joint.angle
    if abs(steering) > 1e-4:
        found.append((horizontal(20, -10.0 * steering), (0, 255, 0)))
    turning = hull.angularVelocity
    if abs(turning) > 1e-4:
        found.append((horizontal(30, -0.8 * turning), (255, 0, 0)))
    return found


def _bar_overflows(game: CarRacing) -> bool:
    """Whether a wheel spins so fast that its indicator grows out of the status bar."""
    car: Any = game.car
    return any(abs(wheel.omega) > 390 for wheel in car.wheels) or max(map(abs, car.hull.linearVelocity)) > 130


def _footprint(zoom: float, shift: tuple[float, float], c: float, s: float) -> tuple[float, float, float, float]:
    """The rectangle ``(left, right, low, high)`` of the track's plane around what the screen shows above the status bar."""
    xs, ys = [], []
    for px in (-_MARGIN, WINDOW_W + _MARGIN):
        for py in (STATUS_BAR - _MARGIN, WINDOW_H + _MARGIN):
            u, v = (px - shift[0]) / zoom, (py - shift[1]) / zoom
            xs.append(c * u + s * v)
            ys.append(c * v - s * u)
    return min(xs) - 0.01, max(xs) + 0.01, min(ys) - 0.01, max(ys) + 0.01


def _surface(width: int, height: int) -> tuple[NDArray[np.uint32], pygame.Surface]:
    """A surface and its pixels ``[height, width]``, in the same memory."""
    pixels = np.zeros((height, width), np.uint32)
    return pixels, pygame.image.frombuffer(pixels.data, (width, height), "RGBX")
