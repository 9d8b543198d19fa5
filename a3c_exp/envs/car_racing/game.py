"""gymnasium's CarRacing-v3, rendered only on demand."""

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import FPS, PLAYFIELD, CarRacing
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.renderer import CarRacingRenderer, rgb
from a3c_exp.envs.car_racing.scenery import TrackScenery
from a3c_exp.envs.car_racing.vehicle import set_controls, step_car


class CarRacingGame(CarRacing):
    """The environment itself: the same tracks, physics, rewards and ends as gymnasium's, and the same pictures, bit for bit.

    Args:
        renderer: draws the pictures; may be shared by games of one thread.
        always_draw: ``step`` and ``reset`` return the picture, as gymnasium's do, and not ``None``.
    """

    def __init__(
        self,
        renderer: CarRacingRenderer | None = None,
        always_draw: bool = True,
        render_mode: str | None = None,
        domain_randomize: bool = False,
    ) -> None:
        super().__init__(render_mode=render_mode, domain_randomize=domain_randomize)
        self._renderer = renderer or CarRacingRenderer()
        self.always_draw = always_draw

    @cached_property
    def scenery(self) -> TrackScenery:
        """Of the current episode."""
        return TrackScenery(self)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.__dict__.pop("scenery", None)
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward, terminated, info = 0.0, False, dict[str, Any]()
        if action is None:  # asked for by reset
            self._advance_physics()
        else:
            reward, terminated, info = self.advance(*np.asarray(action, np.float64).tolist())
        self.state = self._render("state_pixels")
        if self.render_mode == "human":
            self.render()  # type: ignore[no-untyped-call]
        return self.state, reward, terminated, False, info

    def advance(self, steering: float, gas: float, brake: float) -> tuple[float, bool, dict[str, Any]]:
        """One frame without a picture, with the controls held as ``step``'s action has them: the reward, whether the episode
        terminated, and gymnasium's ``info``."""
        car: Any = self.car
        set_controls(car, steering, gas, brake)
        self._advance_physics()
        self.reward -= 0.1
        car.fuel_spent = 0.0
        step_reward = self.reward - self.prev_reward
        self.prev_reward = self.reward
        terminated, info = False, dict[str, Any]()
        if self.tile_visited_count == len(self.track) or self.new_lap:
            terminated, info = True, {"lap_finished": True}
        x, y = car.hull.position
        if abs(x) > PLAYFIELD or abs(y) > PLAYFIELD:
            terminated, info = True, {"lap_finished": False}
            step_reward = -100
        return step_reward, terminated, info

    def _advance_physics(self) -> None:
        step_car(self.car, 1.0 / FPS)
        self.world.Step(1.0 / FPS, 6 * 30, 2 * 30)
        self.t += 1.0 / FPS
        self._score = self.reward  # gymnasium draws what step() returns before it takes off the frame's 0.1

    def state_pixels(self) -> NDArray[np.uint8]:
        """The picture now, ``[96, 96, 4]``: RGB and a byte without meaning. Overwritten by the renderer's next."""
        return self._renderer.state_pixels(self, self.scenery, self._score)

    def picture(self) -> NDArray[np.uint8]:
        """The large picture now, ``[400, 600, 4]``, likewise."""
        return self._renderer.picture(self, self.scenery)

    def _render(self, mode: str) -> Any:
        if mode == "human":
            return super()._render(mode)
        if "t" not in self.__dict__ or (mode == "state_pixels" and not self.always_draw):
            return None  # the former as gymnasium's before the first reset
        return rgb(self.picture() if mode == "rgb_array" else self.state_pixels())
