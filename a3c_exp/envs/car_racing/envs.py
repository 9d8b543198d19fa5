"""CarRacing-v3 as in the CarRacing article: four gray frames, a few actions, brakes on while the frame stack fills."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or pygame prints a greeting when imported

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.envs.box2d.car_racing import FPS
from gymnasium.spaces import Box
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.car_racing.actions import FULL_BRAKE, CarActions
from a3c_exp.envs.car_racing.envpool import EnvPoolGame
from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.envs.car_racing.preprocessing import FRAME_SIZE, FrameSource, GrayscalePreprocessor, Preprocessing
from a3c_exp.envs.car_racing.renderer import CarRacingRenderer, rgb
from a3c_exp.system.errors import ConfigError

FRAME_STACK = 4
"""Frames in an observation."""


class CarRacingEnvs(EnvBatch):
    """K games of CarRacing-v3, with gymnasium's tracks, physics, rewards and pictures, and less work.

    An observation is the last four pictures, ``[4, 96, 96]`` float32 in [0, 1], the oldest first. A step is an agent's: its
    action is held for ``frame_skip`` frames, their rewards are added up, and only the last frame is drawn. An episode begins
    with ``braking_steps`` frames of full brakes, whose rewards are the first step's, so that a return is gymnasium's own.

    Args:
        num_envs: K.
        frame_skip: frames a step.
        source: the input image: gymnasium's 96x96 observation, or its 400x600 render as in the article.
        actions: rows of ``[steering, gas, brake]`` to choose from, ``continuous`` for all of them, ``None`` for the article's.
        braking_steps: frames of full brakes at the start; the article has 4, which fill the stack. With fewer, the oldest
            image replaces those that are missing.
        crop: leave the status bar out and stretch the rest.
        preprocessing: ``numpy``, or ``skimage`` as in the article; the same to within 1e-6.
        no_progress_limit: end an episode, as truncated, after so many steps without a new tile of the track; ``None`` for
            never, and evaluations never do.
        domain_randomize: gymnasium's own option: other colors on every track.
        backend: ``gymnasium``, or ``envpool`` for another renderer and other tracks in training (an extra).
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.
    """

    evaluation_kwargs: Mapping[str, Any] = MappingProxyType({"no_progress_limit": None, "backend": "gymnasium"})
    """A policy is evaluated on whole episodes of gymnasium's own game."""

    def __init__(
        self,
        num_envs: int = 1,
        frame_skip: PositiveInt = 1,
        source: FrameSource = "state_pixels",
        actions: list[list[float]] | Literal["continuous"] | None = None,
        braking_steps: NonNegativeInt = 4,
        crop: bool = False,
        preprocessing: Preprocessing = "numpy",
        no_progress_limit: PositiveInt | None = None,
        domain_randomize: bool = False,
        backend: Literal["gymnasium", "envpool"] = "gymnasium",
        render_mode: str | None = None,
    ) -> None:
        if backend == "envpool" and (source == "render" or domain_randomize or render_mode is not None):
            raise ConfigError(
                "env.backend=envpool has one small picture, in colors of its own. Leave out env.source=render and "
                "env.domain_randomize, or try env.backend=gymnasium"
            )
        limit = gymnasium.spec("CarRacing-v3").max_episode_steps
        assert limit is not None
        if braking_steps + frame_skip > limit:
            raise ConfigError(
                f"an episode has {limit} frames, which leaves no step after env.braking_steps={braking_steps} "
                f"with env.frame_skip={frame_skip}. "
                "Try env.braking_steps=4 env.frame_skip=4"
            )
        self.num_envs = num_envs
        self.default_max_episode_steps: int | None = (limit - braking_steps) // frame_skip
        self._decode = CarActions(actions)
        self.action_space: Space[Any] = self._decode.space
        self.action_names = self._decode.names
        self.observation_space: Space[Any] = Box(0.0, 1.0, (FRAME_STACK, FRAME_SIZE, FRAME_SIZE), np.float32)
        self._frame_skip, self._braking_steps, self._no_progress_limit = frame_skip, braking_steps, no_progress_limit
        self._from_render = source == "render"
        self._to_grayscale = GrayscalePreprocessor(source, crop, preprocessing)
        view = CarRacingRenderer()
        self.games: list[CarRacingGame | EnvPoolGame] = [
            EnvPoolGame()
            if backend == "envpool"
            else CarRacingGame(view, always_draw=False, render_mode=render_mode, domain_randomize=domain_randomize)
            for _ in range(num_envs)
        ]
        self.observation = np.zeros((num_envs, FRAME_STACK, FRAME_SIZE, FRAME_SIZE), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._pending_reward = [0.0] * num_envs
        self._progress = [(0, 0)] * num_envs  # of each episode: tiles visited, and for how many steps no further one

    def reset(self, index: int, seed: int) -> None:
        game = self.games[index]
        game.reset(seed=seed)
        frames = self.observation[index]
        missing = FRAME_STACK - self._braking_steps
        if missing > 0:
            self._draw(game, frames[0])
            frames[1:missing] = frames[0]
        self._pending_reward[index] = 0.0
        for slot in range(missing, FRAME_STACK):
            self._pending_reward[index] += self._advance_frame(game, FULL_BRAKE)[0]
            if slot >= 0:
                self._draw(game, frames[slot])
        self._progress[index] = (game.tile_visited_count, 0)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        controls = self._decode(action).tolist()
        any_end = False
        for k in active.nonzero()[0].tolist():
            game, control, terminated = self.games[k], controls[k], False
            reward, self._pending_reward[k] = self._pending_reward[k], 0.0
            for _ in range(self._frame_skip):
                frame_reward, terminated = self._advance_frame(game, control)
                reward += frame_reward
                if self.on_frame is not None and k == 0:
                    self.on_frame()
                if terminated:
                    break
            frames = self.observation[k]
            frames[:-1] = frames[1:]
            self._draw(game, frames[-1])
            truncated = not terminated and self._reached_no_progress_limit(k)
            self.reward[k], self.terminated[k], self.truncated[k] = reward, terminated, truncated
            any_end = any_end or terminated or truncated
        return any_end

    def _advance_frame(self, game: CarRacingGame | EnvPoolGame, control: Sequence[float]) -> tuple[float, bool]:
        reward, terminated, _ = game.advance(*control)
        if isinstance(game, CarRacingGame) and game.render_mode == "human":
            game.render()  # type: ignore[no-untyped-call]
        return reward, terminated

    def _draw(self, game: CarRacingGame | EnvPoolGame, out: NDArray[np.float32]) -> None:
        pixels = game.picture() if self._from_render and isinstance(game, CarRacingGame) else game.state_pixels()
        self._to_grayscale(pixels, out)

    def _reached_no_progress_limit(self, k: int) -> bool:
        if self._no_progress_limit is None:
            return False
        last_count, steps_waited = self._progress[k]
        count = self.games[k].tile_visited_count
        self._progress[k] = (count, 0 if count > last_count else steps_waited + 1)
        return self._progress[k][1] >= self._no_progress_limit

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[400, 600, 3]`` of the first game, if made with ``render_mode="rgb_array"``."""
        game = self.games[0]
        assert isinstance(game, CarRacingGame) and game.render_mode == "rgb_array", "made without render_mode='rgb_array'"
        return rgb(game.picture())

    on_frame: Callable[[], None] | None = None
    """Called after every frame of the first game, the frames within a step too, so that all can be rendered."""
    frames_per_second = float(FPS)

    def info(self) -> dict[str, float]:
        """The first car's true speed, in the game's own units of length a second."""
        game = self.games[0]
        assert isinstance(game, CarRacingGame), "only gymnasium's game has a car"
        car: Any = game.car
        return {"speed": math.hypot(*car.hull.linearVelocity)}

    def close(self) -> None:
        for game in self.games:
            game.close()
