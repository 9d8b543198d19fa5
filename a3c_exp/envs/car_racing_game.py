"""gymnasium's CarRacing-v3, drawn only when somebody looks."""

from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing
from numpy.typing import NDArray

from a3c_exp.envs.car_racing_view import CarRacingView, Scenery


class CarRacingGame(CarRacing):
    """The task itself: the same tracks, physics, rewards and ends as gymnasium's, and the same pictures, bit for bit.

    Args:
        view: draws the pictures; may be shared by games of one thread.
        always_draw: ``step`` and ``reset`` return the picture, as gymnasium's do, and not ``None``.
        options: as for ``CarRacing``.
    """

    def __init__(self, view: CarRacingView | None = None, always_draw: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self._view = view or CarRacingView()
        self._always_draw = always_draw
        self._scenery: Scenery | None = None

    @property
    def scenery(self) -> Scenery:
        """Of the episode under way."""
        if self._scenery is None:
            self._scenery = Scenery(self)
        return self._scenery

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        self._scenery = None
        observed: tuple[NDArray[np.uint8], dict[str, Any]] = super().reset(seed=seed, options=options)
        return observed

    def state_pixels(self) -> NDArray[np.uint8]:
        """The picture now, ``[96, 96, 4]``: RGB and a byte of no meaning. Overwritten by the view's next."""
        return self._view.state_pixels(self, self.scenery)

    def picture(self) -> NDArray[np.uint8]:
        """The large picture now, ``[400, 600, 4]``, likewise."""
        return self._view.picture(self, self.scenery)

    def _render(self, mode: str) -> Any:
        if mode == "human":
            return super()._render(mode)
        if "t" not in self.__dict__:  # as gymnasium's before the first reset
            return None
        if mode == "state_pixels" and not self._always_draw:
            return None
        pixels = self.picture() if mode == "rgb_array" else self.state_pixels()
        return pixels[..., :3].copy()
