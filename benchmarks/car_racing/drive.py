"""A controller for CarRacing-v3 that reads the track from the environment, for recorded drives."""

import math
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing
from numpy.typing import NDArray

_LOOKAHEAD_TILES = 6
"""Tiles between the nearest one and the target."""


def controls(game: CarRacing, cruise_speed: float = 40.0) -> NDArray[np.float64]:
    """``[steering, gas, brake]`` toward the middle of the road a little ahead.

    Args:
        cruise_speed: speed on a straight; from about 60 on the car slides off the road.
    """
    car: Any = game.car
    track: Any = game.track
    x, y = car.hull.position
    centers = np.array(track)[:, 2:4]
    nearest = int(((centers - (x, y)) ** 2).sum(1).argmin())
    aim = centers[(nearest + _LOOKAHEAD_TILES) % len(centers)] - (x, y)
    forward_x, forward_y = car.hull.GetWorldVector((0, 1))
    angle = math.atan2(forward_x * aim[1] - forward_y * aim[0], forward_x * aim[0] + forward_y * aim[1])
    speed = math.hypot(*car.hull.linearVelocity)
    target_speed = cruise_speed * max(0.4, 1.0 - 1.2 * abs(angle))
    return np.array(
        [max(-1.0, min(1.0, -2.0 * angle)), 0.3 if speed < target_speed else 0.0, 0.3 if speed > target_speed + 8 else 0.0]
    )
