"""The picture of CarRacing-v3, pixel for pixel gymnasium's own: by ``rasterizer`` if it can be had, else by pygame."""

from functools import cached_property
from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d import car_racing
from gymnasium.envs.box2d.car_racing import CarRacing
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.camera import camera_of
from a3c_exp.envs.car_racing.canvas import Canvas, ShrunkScreen
from a3c_exp.envs.car_racing.rasterizer import Rasterizer, load_rasterizer
from a3c_exp.envs.car_racing.scenery import TrackScenery
from a3c_exp.envs.car_racing.status_bar import StatusBar, indicators_overflow


class CarRacingRenderer:
    """Draws games. One serves any number of them, one after the other; it holds nothing but buffers.

    Args:
        compiled: draw the small picture by compiled code of our own where that is possible; the same picture for less.
    """

    def __init__(self, compiled: bool = True) -> None:
        self._canvas = Canvas()
        self._status_bar = StatusBar()
        self._small = ShrunkScreen(car_racing.STATE_W, car_racing.STATE_H)
        self._large = ShrunkScreen(car_racing.VIDEO_W, car_racing.VIDEO_H)
        self._compiled = compiled

    @cached_property
    def _rasterizer(self) -> Rasterizer | None:
        return load_rasterizer() if self._compiled else None

    def state_pixels(self, game: CarRacing, scenery: TrackScenery, score: float) -> NDArray[np.uint8]:
        """What ``step`` returns, ``[96, 96, 4]``: RGB and a byte without meaning; overwritten by the next call. The status bar
        shows the ``score``."""
        camera = camera_of(game)
        car = scenery.car.polygons(camera)
        if self._rasterizer is not None and not indicators_overflow(game):
            self._status_bar.draw_shrunk(self._rasterizer.bar, game, score)
            if (pixels := self._rasterizer.draw(scenery, camera, car)) is not None:
                return pixels
        self._canvas.draw_scenery(scenery, camera)
        self._canvas.draw_polygons(car)
        return self._shrink(self._small, game, score)

    def picture(self, game: CarRacing, scenery: TrackScenery) -> NDArray[np.uint8]:
        """``[400, 600, 4]`` as ``render_mode="rgb_array"`` gives it, with tire marks; overwritten by the next call."""
        camera = camera_of(game)
        car: Any = game.car
        self._canvas.draw_scenery(scenery, camera)
        car.draw(self._canvas.surface, camera.zoom, (camera.shift_x, camera.shift_y), -car.hull.angle)
        return self._shrink(self._large, game, game.reward)

    def _shrink(self, size: ShrunkScreen, game: CarRacing, score: float) -> NDArray[np.uint8]:
        if indicators_overflow(game):
            screen = pygame.transform.flip(self._canvas.surface, False, True)
            self._status_bar.draw(screen, game, score)
            return size.shrink(screen)
        self._status_bar.draw_shrunk(size.bar, game, score)
        return size.shrink_with_bar(self._canvas.visible)


def rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``[height, width, 4]`` without the fourth byte, in an array of its own; plane by plane, which is four times as fast."""
    own = np.empty((*pixels.shape[:2], 3), np.uint8)
    for plane in range(3):
        own[..., plane] = pixels[..., plane]
    return own
