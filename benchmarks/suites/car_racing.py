"""Frames per second of CarRacing-v3, gymnasium's against a3c_exp's: the same drives, the same images, resets included.

All variants replay recorded drives, so all see the same track, and none pays for driving.
"""

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import cycle
from typing import TypeVar

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.envs import CarRacingEnvs
from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.envs.car_racing.preprocessing import FrameSource, preprocess_with_skimage
from benchmarks.car_racing.drive import controls
from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.training_runs import TrainingRuns

TITLE = "car_racing: frames a second of one CarRacing-v3, resets included"
UNIT = "frames/s"
BASELINE = "gymnasium"
_SEEDS = range(4)
_FRAMES = 996
_SKIP = 4
"""Frames per control of the recorded drives, so that they can be replayed with this frame_skip too."""

Game = TypeVar("Game", bound=CarRacing)
EpisodeRunner = Callable[[int, NDArray[np.float32]], Iterator[int]]
"""Replays one recorded episode, ``seed`` and ``[frames, 3]``, and yields the number of frames of each step."""


def variants(runs: TrainingRuns) -> list[Variant]:
    def measured(name: str, replay: EpisodeRunner, requirement: Requirement | None = None) -> Variant:
        return Variant(name, lambda: frames_per_second(replay, runs.seconds), requirement)

    return [
        measured(BASELINE, _gymnasium),
        measured("a3c_exp, every frame", _a3c, Requirement("ratio", "at least", 3.5)),
        measured(f"a3c_exp, every {_SKIP}th frame", _a3c_frame_skip, Requirement("ratio", "at least", 10.0)),
        measured("a3c_exp, gray and stacked, frame_skip=1", _a3c_envs(1)),
        measured(f"a3c_exp, gray and stacked, frame_skip={_SKIP}", _a3c_envs(_SKIP)),
        measured("gymnasium render, gray and shrunk by scikit-image (the article's)", _article_preprocessing),
        measured("a3c_exp source=render", _a3c_envs(1, source="render")),
    ]


def frames_per_second(run_episode: EpisodeRunner, seconds: float) -> float:
    """Frames over the wall time of steps and resets, without the first 100 frames."""
    frames, started, warm = 0, time.perf_counter(), False
    for seed in cycle(_SEEDS):
        for step_frames in run_episode(seed, recorded_drive(seed)):
            frames += step_frames
            now = time.perf_counter()
            if not warm and frames >= 100:
                frames, started, warm = 0, now, True
            elif warm and now - started >= seconds:
                return frames / (now - started)
    raise AssertionError("seeds never end")


@cache
def recorded_drive(seed: int) -> NDArray[np.float32]:
    """The controls of a drive around the track, ``[996, 3]``, constant for four frames each."""
    game = CarRacingGame(always_draw=False)
    game.reset(seed=seed)
    actions = []
    for frame in range(_FRAMES):
        if frame % _SKIP == 0:
            action = controls(game, cruise_speed=45.0).astype(np.float32)
        actions.append(action)
        if game.advance(*action.tolist())[1]:
            break
    return np.array(actions)


def _gymnasium(seed: int, drive: NDArray[np.float32]) -> Iterator[int]:
    game = _make_game(CarRacing)
    game.reset(seed=seed)
    for action in drive:
        game.step(action)
        yield 1


def _a3c(seed: int, drive: NDArray[np.float32]) -> Iterator[int]:
    game = _make_game(CarRacingGame)
    game.reset(seed=seed)
    for action in drive:
        game.step(action)
        yield 1


def _a3c_frame_skip(seed: int, drive: NDArray[np.float32]) -> Iterator[int]:
    game = _make_game(CarRacingGame)
    game.reset(seed=seed)
    for action in drive[: len(drive) // _SKIP * _SKIP : _SKIP]:
        for _ in range(_SKIP - 1):
            game.advance(*action.tolist())
        game.step(action)
        yield _SKIP


def _article_preprocessing(seed: int, drive: NDArray[np.float32]) -> Iterator[int]:
    game = _make_game(CarRacing)
    game.reset(seed=seed)
    for action in drive:
        game.step(action)
        preprocess_with_skimage(game.render())
        yield 1


@cache
def _make_game(kind: type[Game]) -> Game:
    return kind(render_mode="rgb_array")


def _a3c_envs(frame_skip: int, source: FrameSource = "state_pixels") -> EpisodeRunner:
    make = cache(partial(CarRacingEnvs, 1, frame_skip, source, "continuous", braking_steps=0))

    def replay(seed: int, drive: NDArray[np.float32]) -> Iterator[int]:
        envs, active = make(), np.array([True])
        envs.reset(0, seed)
        for action in drive[: len(drive) // frame_skip * frame_skip : frame_skip]:
            envs.step(action[None], active)
            yield frame_skip

    return replay
