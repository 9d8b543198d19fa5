"""CarRacing driven from the keyboard; in gymnasium.utils.play every episode is the same, without score and next track."""

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
    """The result of one track."""

    return_: float  #: gymnasium's score
    seconds: float  #: of the game's time
    complete: bool  #: whether the episode ended: the lap was finished, the car left the field, or the time was up
    finished: bool  #: whether the lap was finished


def pressed_controls() -> tuple[float, float, float]:
    """``(steering, gas, brake)`` by the arrow keys that are held down; left and right together steer straight."""
    pressed = pygame.key.get_pressed()
    left, right, up, down = (float(pressed[key]) for key in (pygame.K_LEFT, pygame.K_RIGHT, pygame.K_UP, pygame.K_DOWN))
    return right - left, up, _BRAKE_STRENGTH * down


def play(seeds: Iterable[int], domain_randomize: bool = False) -> Iterator[DriveResult]:
    """Drive one track after the other in a window, at 50 frames per second, until it is closed or Escape is pressed; a
    ConfigError if no window can be opened. ``domain_randomize`` gives every track colors of its own."""
    try:
        pygame.display.init()
    except pygame.error as error:
        raise ConfigError(f"playing needs a display: {error}. Try python -m a3c_exp.evaluate RUN_DIR --video") from error
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
    return_ = 0.0
    for frame in range(limit):
        pygame.display.set_caption(f"CarRacing, track {number}: {return_:.1f} after {frame / FPS:.0f} s of {limit / FPS:.0f}")
        for event in pygame.event.get():
            key = event.key if event.type == pygame.KEYDOWN else None
            if event.type == pygame.QUIT or key in (pygame.K_ESCAPE, pygame.K_RETURN):
                return DriveResult(return_, frame / FPS, complete=False, finished=False), key == pygame.K_RETURN
        reward, terminated, info = game.advance(*pressed_controls())
        game.render()  # type: ignore[no-untyped-call]
        return_ += reward
        if terminated:
            return DriveResult(return_, (frame + 1) / FPS, complete=True, finished=bool(info["lap_finished"])), True
    return DriveResult(return_, limit / FPS, complete=True, finished=False), True
