"""Driving by hand: keys, tracks, and what is said where nobody can."""

import os
import subprocess
import sys

import pygame
import pytest

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.play.__main__ import main
from a3c_exp.play.keyboard import KeyboardControls, play
from a3c_exp.system.errors import ConfigError
from tests.support.command import ROOT


def key(kind: int, code: int) -> pygame.event.Event:
    return pygame.event.Event(kind, key=code)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch):
    """SDL draws into memory, and takes posted events for typed ones."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.event.clear()
    yield
    pygame.quit()


def test_keys_steer_the_way_their_arrows_point() -> None:
    """Right is positive for gymnasium; the key that comes up must let go."""
    wheel = KeyboardControls()
    assert wheel.controls == (0, 0, 0)
    wheel.handle_event(key(pygame.KEYDOWN, pygame.K_RIGHT))
    wheel.handle_event(key(pygame.KEYDOWN, pygame.K_UP))
    assert wheel.controls == (1, 1, 0)
    wheel.handle_event(key(pygame.KEYDOWN, pygame.K_LEFT))
    assert wheel.controls == (0, 1, 0)
    wheel.handle_event(key(pygame.KEYUP, pygame.K_RIGHT))
    wheel.handle_event(key(pygame.KEYUP, pygame.K_UP))
    wheel.handle_event(key(pygame.KEYDOWN, pygame.K_DOWN))
    assert wheel.controls == (-1, 0, 0.8)


def test_return_goes_to_the_next_track_and_escape_ends(window: None) -> None:
    drives = play(iter([1, 2, 3]))
    pygame.event.post(key(pygame.KEYDOWN, pygame.K_RETURN))
    assert not next(drives).complete
    pygame.event.post(key(pygame.KEYDOWN, pygame.K_ESCAPE))
    assert next(drives).seconds == 0
    assert next(drives, None) is None


def test_a_driven_second_is_the_games_own(window: None) -> None:
    """What is shown as the return is what an agent would have got for the same keys."""
    pygame.event.post(key(pygame.KEYDOWN, pygame.K_UP))
    pygame.time.set_timer(key(pygame.KEYDOWN, pygame.K_ESCAPE), 900, loops=1)
    (drive,) = play([5])
    frames = round(drive.seconds * 50)
    assert 1 <= frames <= 60  # few on a busy machine
    game = CarRacingGame(always_draw=False)
    game.reset(seed=5)
    assert drive.return_ == sum(game.advance(0.0, 1.0, 0.0)[0] for _ in range(frames))


def test_the_tracks_are_those_of_an_evaluation(
    window: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = []
    reset = CarRacingGame.reset

    def noted(self: CarRacingGame, *, seed: int | None = None, options: None = None):
        seeds.append(seed)
        pygame.event.post(key(pygame.KEYDOWN, pygame.K_RETURN))
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(CarRacingGame, "reset", noted)
    assert main(["env=car_racing", "--tracks", "2", "--seed", "11"]) == 0
    assert seeds == [env_seed(11, 0, track, StreamPurpose.evaluation) for track in range(2)]
    assert capsys.readouterr().out.count("given up") == 2


def test_a_display_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(ConfigError, match="needs a display"):
        next(play([1]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["env=car_racing"], "needs a display"),
        (["env=pendulum"], "Try python -m a3c_exp.play env=car_racing"),
        (["env=car_racing", "--tracks", "0"], "--tracks is 0"),
        (["env=car_rasing"], "Did you mean env=car_racing?"),
    ],
)
def test_who_cannot_play_is_told_in_one_line(arguments: list[str], said: str, monkeypatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told and len(told.splitlines()) == 1


def test_no_display_is_exit_code_2_of_the_command() -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    command = [sys.executable, "-m", "a3c_exp.play", "env=car_racing"]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=120)
    if sys.platform.startswith("linux"):
        assert done.returncode == 2 and "needs a display" in done.stderr
        assert len(done.stderr.splitlines()) == 1 and not done.stdout
