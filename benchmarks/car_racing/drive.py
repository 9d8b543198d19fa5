"""A drive round a track of CarRacing-v3 by somebody who can see it all: the same for everyone who is measured or compared."""

import math
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing
from numpy.typing import NDArray

_LOOKAHEAD_TILES = 6
"""Tiles between the nearest one and the one that is aimed at."""


def controls(game: CarRacing, cruise_speed: float = 40.0) -> NDArray[np.float64]:
    """``[steering, gas, brake]`` towards the middle of the road a little ahead.

    Args:
        cruise_speed: speed that is kept on a straight; the car slides off the road from about 60 on.
    """
    car: Any = game.car
    track: Any = game.track
    x, y = car.hull.position
    places = np.array(track)[:, 2:4]
    nearest = int(((places - (x, y)) ** 2).sum(1).argmin())
    aim = places[(nearest + _LOOKAHEAD_TILES) % len(places)] - (x, y)
    forward_x, forward_y = car.hull.GetWorldVector((0, 1))
    off = math.atan2(forward_x * aim[1] - forward_y * aim[0], forward_x * aim[0] + forward_y * aim[1])
    speed = math.hypot(*car.hull.linearVelocity)
    wanted = cruise_speed * max(0.4, 1.0 - 1.2 * abs(off))
    return np.array([max(-1.0, min(1.0, -2.0 * off)), 0.3 if speed < wanted else 0.0, 0.3 if speed > wanted + 8 else 0.0])
