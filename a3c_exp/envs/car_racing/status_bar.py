"""CarRacing's status bar: the score, and indicators of speed, wheels, steering and turning. The same pixels as gymnasium's.

Numbers and indicators stand in columns of their own, and an indicator looks the same from its first line to its last. So what
is shrunk of the bar is one line of each kind, and each number once.
"""

import math
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W, CarRacing
from numpy.typing import NDArray

STATUS_BAR = WINDOW_H // 8
"""Height of the status bar; the picture above it is what is drawn of the track."""
_TOP = WINDOW_H - STATUS_BAR
_SCORE_WIDTH_DIVISOR = 8
"""The number stands within this part of the width; at its end pixels of the shrunk picture, 96 or 600 wide, begin anew."""
_MAX_LINE_KINDS = 16  # more than there can be: seven indicators have fourteen ends
_CACHE_SIZE = 2000


class StatusBar:
    """Draws the status bars of any number of games."""

    def __init__(self) -> None:
        pygame.font.init()
        font = pygame.font.Font(pygame.font.get_default_font(), 42)
        self._text = lru_cache(_CACHE_SIZE)(lambda number: font.render(number, True, (255, 255, 255), (0, 0, 0)))
        self._shrunk_score = lru_cache(_CACHE_SIZE)(self._shrink_score)
        _, self._lines = pixel_surface(WINDOW_W, _MAX_LINE_KINDS)
        self._shrunk_lines = cache(lambda width: pixel_surface(width, _MAX_LINE_KINDS))

    def draw(self, screen: pygame.Surface, game: CarRacing, score: float) -> None:
        """On the whole screen."""
        screen.fill(0, (0, _TOP, WINDOW_W, STATUS_BAR))
        for rectangle, color in _indicators(game):
            screen.fill(color, rectangle)
        self._draw_score(screen, f"{score:04.0f}", 0)

    def draw_shrunk(self, out: NDArray[np.uint32], game: CarRacing, score: float) -> None:
        """With its lines shortened as ``smoothscale`` does it, into ``out [100, width]``; not if it ``indicators_overflow``."""
        out.fill(0)
        width = out.shape[1]
        short, short_surface = self._shrunk_lines(width)
        indicators = list(_indicators(game))
        lines = self._lines
        kinds: list[slice] = []
        for upper, lower in pairwise(sorted({edge for (_, y, _, h), _ in indicators for edge in (y, y + h)})):
            inside = [(x, w, color) for (x, y, w, h), color in indicators if y <= upper and y + h >= lower]
            if inside and upper < WINDOW_H:
                line = len(kinds)
                kinds.append(slice(upper - _TOP, lower - _TOP))
                lines.fill(0, (0, line, WINDOW_W, 1))
                for x, w, color in inside:
                    lines.fill(color, (x, line, w, 1))
        pygame.transform.smoothscale(lines, (width, _MAX_LINE_KINDS), short_surface)
        for line, rows in enumerate(kinds):
            out[rows] = short[line]
        rows, pixels = self._shrunk_score(f"{score:04.0f}", width)
        out[rows, : pixels.shape[1]] = pixels

    def _shrink_score(self, number: str, width: int) -> tuple[slice, NDArray[np.uint32]]:
        """The rows of the bar where it stands, and these, shortened."""
        _, whole = pixel_surface(WINDOW_W, STATUS_BAR)
        place = self._draw_score(whole, number, _TOP)
        assert place.right <= WINDOW_W // _SCORE_WIDTH_DIVISOR, f"{number} is {place.width} pixels wide"
        pixels, short = pixel_surface(width, STATUS_BAR)
        pygame.transform.smoothscale(whole, (width, STATUS_BAR), short)
        rows = slice(place.top, place.bottom)
        return rows, pixels[rows, : width // _SCORE_WIDTH_DIVISOR].copy()

    def _draw_score(self, target: pygame.Surface, number: str, top: int) -> pygame.Rect:
        """Write it on a surface whose first row is row ``top`` of the screen."""
        text = self._text(number)
        place = text.get_rect()
        place.center = (60, int(WINDOW_H - WINDOW_H * 2.5 / 40.0) - top)
        target.blit(text, place)
        return place


_Rectangle = tuple[int, int, int, int]
"""Left, upper, width, height, in pixels of the screen."""


def _indicators(game: CarRacing) -> Iterator[tuple[_Rectangle, tuple[int, int, int]]]:
    """The indicators that are long enough to be drawn, with their colors: as in gymnasium's ``_render_indicators``."""
    car: Any = game.car
    wheels, hull = car.wheels, car.hull
    velocity = hull.linearVelocity
    vx, vy = velocity.x, velocity.y
    speed = math.sqrt(vx * vx + vy * vy)
    if speed > 1e-4:
        yield _vertical(5, 0.02 * speed), (255, 255, 255)
    for place, wheel, color in zip((7, 8, 9, 10), wheels, _WHEEL_COLORS, strict=True):
        omega = wheel.omega
        if abs(omega) > 1e-4:
            yield _vertical(place, 0.01 * omega), color
    steering = wheels[0].joint.angle
    if abs(steering) > 1e-4:
        yield _horizontal(20, -10.0 * steering), (0, 255, 0)
    turning = hull.angularVelocity
    if abs(turning) > 1e-4:
        yield _horizontal(30, -0.8 * turning), (255, 0, 0)


_WHEEL_COLORS = ((0, 0, 255), (0, 0, 255), (51, 0, 255), (51, 0, 255))
_UNIT_X, _UNIT_Y = WINDOW_W / 40.0, WINDOW_H / 40.0


def _vertical(place: int, value: float) -> _Rectangle:
    """From the ground line up, or down. A polygon's corners are truncated, and its last row and column belong to it."""
    end, ground = int(WINDOW_H - (_UNIT_Y + _UNIT_Y * value)), int(WINDOW_H - _UNIT_Y)
    return int(place * _UNIT_X), min(end, ground), int(_UNIT_X) + 1, abs(end - ground) + 1


def _horizontal(place: int, value: float) -> _Rectangle:
    start, end = int(place * _UNIT_X), int((place + value) * _UNIT_X)
    return min(start, end), int(WINDOW_H - 4 * _UNIT_Y), abs(end - start) + 1, int(2 * _UNIT_Y) + 1


def indicators_overflow(game: CarRacing) -> bool:
    """Whether a wheel turns so fast that its indicator leaves the status bar, or the car so that its own reaches the score."""
    car: Any = game.car
    if abs(car.hull.angularVelocity) > 25:
        return True
    return any(abs(wheel.omega) > 390 for wheel in car.wheels) or max(map(abs, car.hull.linearVelocity)) > 130


def pixel_surface(width: int, height: int) -> tuple[NDArray[np.uint32], pygame.Surface]:
    """A surface and its pixels ``[height, width]``, in the same memory."""
    pixels = np.zeros((height, width), np.uint32)
    return pixels, pygame.image.frombuffer(pixels.data, (width, height), "RGBX")
