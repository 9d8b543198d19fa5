"""What there is to see in CarRacing-v3 and does not move: arrays, which are drawn by either of two means."""

from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import GRASS_DIM, CarRacing
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.vehicle import CarOutline

_GRASS = [
    [(GRASS_DIM * x + GRASS_DIM * right, GRASS_DIM * y + GRASS_DIM * up) for right, up in ((1, 0), (0, 0), (0, 1), (1, 1))]
    for x in range(-20, 20, 2)
    for y in range(-20, 20, 2)
]


class Scenery:
    """Quadrilaterals that do not move, in drawing order.

    Args:
        corners: ``[N, 4, 2]``, on the plane of the track.
        colors: ``[N, 3]``; may be changed afterwards, in place.
        background_color: of the field below them.
    """

    def __init__(self, corners: NDArray[np.float64], colors: NDArray[np.float64], background_color: list[int]) -> None:
        self.corners = np.ascontiguousarray(corners.transpose(2, 1, 0))  # [2, 4, N]
        self.low, self.high = self.corners.min(1), self.corners.max(1)  # [2, N]
        self.colors = colors
        self.background_color = background_color


class TrackScenery(Scenery):
    """The patches of grass and the road of an episode, after ``game``'s reset.

    The game's own tiles are given colors that lie in one array here, so that a tile that changes its shade (when a wheel
    touches it) changes it here as well.
    """

    def __init__(self, game: CarRacing) -> None:
        road: list[tuple[Any, Any]] = game.road_poly
        bodies: Any = game.road
        super().__init__(
            np.array(_GRASS + [[(p[0], p[1]) for p in poly] for poly, _ in road], np.float64),
            np.array([game.grass_color] * len(_GRASS) + [color for _, color in road], np.float64),
            [int(c) for c in game.bg_color],
        )
        tiles = iter(bodies)
        for index, (poly, color) in enumerate(road):
            if isinstance(color, np.ndarray):  # a border's is a tuple and never changes
                shade = self.colors[len(_GRASS) + index]
                next(tiles).color = shade
                road[index] = (poly, shade)
        self.car = CarOutline(game.car)
