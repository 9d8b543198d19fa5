"""Driving by keyboard: keys, tracks, and the message where there is no display."""

import os
import subprocess
import sys
from collections import defaultdict

import pygame
import pytest

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.play.__main__ import main
from a3c_exp.play.keyboard import play, pressed_controls
from a3c_exp.system.errors import ConfigError
from tests.support.command import ROOT


def key(kind: int, code: int) -> pygame.event.Event:
    return pygame.event.Event(kind, key=code)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch):
    """SDL draws into memory and reads posted events like typed ones."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.event.clear()
    yield
    pygame.quit()


def hold(monkeypatch: pytest.MonkeyPatch, *codes: int) -> None:
    """Hold these keys down, and no others."""
    monkeypatch.setattr(pygame.key, "get_pressed", lambda: defaultdict(bool, dict.fromkeys(codes, True)))


def test_arrow_keys_steer_in_their_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right is positive for gymnasium; a released key has no effect."""
    hold(monkeypatch)
    assert pressed_controls() == (0, 0, 0)
    hold(monkeypatch, pygame.K_RIGHT, pygame.K_UP)
    assert pressed_controls() == (1, 1, 0)
    hold(monkeypatch, pygame.K_RIGHT, pygame.K_UP, pygame.K_LEFT)
    assert pressed_controls() == (0, 1, 0)
    hold(monkeypatch, pygame.K_LEFT, pygame.K_DOWN)
    assert pressed_controls() == (-1, 0, 0.8)


def test_return_goes_to_the_next_track_and_escape_ends(window: None) -> None:
    drives = play(iter([1, 2, 3]))
    pygame.event.post(key(pygame.KEYDOWN, pygame.K_RETURN))
    assert not next(drives).complete
    pygame.event.post(key(pygame.KEYDOWN, pygame.K_ESCAPE))
    assert next(drives).seconds == 0
    assert next(drives, None) is None


def test_the_return_is_what_an_agent_gets_for_the_same_actions(window: None, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = 20
    advance, rewards = CarRacingGame.advance, []

    def advance_then_escape(self: CarRacingGame, *controls: float):
        outcome = advance(self, *controls)
        rewards.append(outcome[0])
        if len(rewards) == frames:
            pygame.event.post(key(pygame.KEYDOWN, pygame.K_ESCAPE))
        return outcome

    hold(monkeypatch, pygame.K_UP)
    with monkeypatch.context() as patch:
        patch.setattr(CarRacingGame, "advance", advance_then_escape)
        (drive,) = play([5])
    assert drive.seconds == frames / 50
    game = CarRacingGame(always_draw=False)
    game.reset(seed=5)
    assert drive.return_ == sum(game.advance(0.0, 1.0, 0.0)[0] for _ in range(frames))


def test_the_tracks_are_those_of_an_evaluation(
    window: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = []
    reset = CarRacingGame.reset

    def recording_reset(self: CarRacingGame, *, seed: int | None = None, options: None = None):
        seeds.append(seed)
        pygame.event.post(key(pygame.KEYDOWN, pygame.K_RETURN))
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(CarRacingGame, "reset", recording_reset)
    assert main(["env=car_racing", "--tracks", "2", "--seed", "11"]) == 0
    assert seeds == [env_seed(11, 0, track, StreamPurpose.evaluation) for track in range(2)]
    assert capsys.readouterr().out.count("given up") == 2


def test_a_display_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(ConfigError, match="needs a display"):
        next(play([1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env=car_racing"], "needs a display"),
        (["env=pendulum"], "Try python -m a3c_exp.play env=car_racing"),
        (["env=car_racing", "--tracks", "0"], "--tracks: it is 0, but takes a whole number of at least 1. Try 3"),
        (["env=car_rasing"], "Did you mean env=car_racing?"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(arguments: list[str], message: str, monkeypatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_no_display_is_exit_code_2_of_the_command() -> None:
    display = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    environment = {name: value for name, value in os.environ.items() if name not in display}
    command = [sys.executable, "-m", "a3c_exp.play", "env=car_racing"]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    if sys.platform.startswith("linux"):
        assert process.returncode == 2 and "needs a display" in process.stderr
        assert len(process.stderr.splitlines()) == 1 and not process.stdout
