"""CarRacing driven from the keyboard.

Not by gymnasium.utils.play, which resets every episode with the same seed, has no key for the next track, shows no score, and
draws a smaller picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import gymnasium
import pygame
from gymnasium.envs.box2d.car_racing import FPS

from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.system.errors import ConfigError

_BRAKE_STRENGTH = 0.8  # more than 0.9 would lock the wheels


@dataclass(frozen=True)
class DriveResult:
    """The result of one track: gymnasium's score, seconds of the game's time, whether the episode ended (the lap was finished,
    the car left the field, or the time was up), and whether that was because the lap was finished."""

    return_: float
    seconds: float
    complete: bool
    finished: bool


class KeyboardControls:
    """Arrow keys to steering, gas and brake."""

    def __init__(self) -> None:
        self._pressed_keys: set[int] = set()

    def handle_event(self, event: pygame.event.Event) -> None:
        if event.type == pygame.KEYDOWN:
            self._pressed_keys.add(event.key)
        elif event.type == pygame.KEYUP:
            self._pressed_keys.discard(event.key)

    @property
    def controls(self) -> tuple[float, float, float]:
        """``(steering, gas, brake)``; left and right together steer straight."""
        keys = (pygame.K_LEFT, pygame.K_RIGHT, pygame.K_UP, pygame.K_DOWN)
        left, right, up, down = (float(key in self._pressed_keys) for key in keys)
        return right - left, up, _BRAKE_STRENGTH * down


def play(seeds: Iterable[int], domain_randomize: bool = False) -> Iterator[DriveResult]:
    """Drive one track after the other in a window, at 50 frames per second, until it is closed or Escape is pressed; a
    ConfigError if no window can be opened. ``domain_randomize`` gives every track colors of its own."""
    try:
        pygame.display.init()
    except pygame.error as error:
        raise ConfigError(
            f"playing needs a display, and none could be opened: {error}. Try python -m a3c_exp.evaluate RUN_DIR --video"
        ) from error
    game = CarRacingGame(always_draw=False, render_mode="human", domain_randomize=domain_randomize)
    try:
        for number, seed in enumerate(seeds, 1):
            result, next_track = _drive(game, seed, number)
            yield result
            if not next_track:
                return
    finally:
        game.close()  # type: ignore[no-untyped-call]


def _drive(game: CarRacingGame, seed: int, number: int) -> tuple[DriveResult, bool]:
    """The result of one track, and whether the next one follows."""
    limit = gymnasium.spec("CarRacing-v3").max_episode_steps
    assert limit is not None
    game.reset(seed=seed)
    keyboard, return_ = KeyboardControls(), 0.0
    for frame in range(limit):
        pygame.display.set_caption(f"CarRacing, track {number}: {return_:.1f} after {frame / FPS:.0f} s of {limit / FPS:.0f}")
        for event in pygame.event.get():
            key = event.key if event.type == pygame.KEYDOWN else None
            if event.type == pygame.QUIT or key in (pygame.K_ESCAPE, pygame.K_RETURN):
                return DriveResult(return_, frame / FPS, complete=False, finished=False), key == pygame.K_RETURN
            keyboard.handle_event(event)
        reward, terminated, info = game.advance(*keyboard.controls)
        game.render()  # type: ignore[no-untyped-call]
        return_ += reward
        if terminated:
            return DriveResult(return_, (frame + 1) / FPS, complete=True, finished=bool(info["lap_finished"])), True
    return DriveResult(return_, limit / FPS, complete=True, finished=False), True
