"""From where CarRacing-v3 is seen."""

from typing import Any, NamedTuple

import pygame
from gymnasium.envs.box2d import car_racing
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W, CarRacing


class Camera(NamedTuple):
    """Turns a point by the angle with this cosine and sine, then zooms, then shifts it."""

    zoom: float
    shift_x: float
    shift_y: float
    c: float
    s: float


def camera_of(game: CarRacing) -> Camera:
    """From behind the car; it comes down in the first second."""
    car: Any = game.car
    hull = car.hull
    angle = -hull.angle
    zoom = 0.1 * car_racing.SCALE * max(1 - game.t, 0) + car_racing.ZOOM * car_racing.SCALE * min(game.t, 1)
    x, y = hull.position
    scrolled = pygame.math.Vector2((-x * zoom, -y * zoom)).rotate_rad(angle)
    c, s = pygame.math.Vector2(1, 0).rotate_rad(angle)  # pygame's own, which are exact at right angles
    return Camera(zoom, WINDOW_W / 2 + scrolled[0], WINDOW_H / 4 + scrolled[1], c, s)
