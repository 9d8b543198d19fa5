"""Atari games as agents have learned them since 2015: four small gray pictures, an action every fourth frame."""

import atexit
import gc
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import gymnasium
import numpy as np
from annotated_types import Ge, Le
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.envs.atari.area_resize import AreaResize
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.registry import make_environment, registered_spec
from a3c_exp.envs.wrappers import build_arguments
from a3c_exp.spaces.codecs import action_decoder
from a3c_exp.system.errors import ConfigError

_FRAMES_PER_SECOND = 60.0
_OWN_ARGUMENTS = {
    "frameskip": "env.frame_skip=4",
    "repeat_action_probability": "env.repeat_action_probability=0.25",
    "full_action_space": "env.full_action_space=true",
    **dict.fromkeys(("obs_type", "sound_obs", "continuous"), "env=gymnasium"),  # whose environment is ale-py's own
}
"""Arguments of ale-py's environments that are chosen here, and what to type instead."""


class AtariEnvs(EnvBatch):
    """K games of one id, such as ``ALE/Pong-v5``, each in an emulator of its own, which is called without wrappers.

    An observation is the last ``frame_stack`` pictures ``[frame_stack, screen_size, screen_size]``, the oldest first, as bytes.
    Each is the maximum over the last two frames of a step, since some games draw half of their objects in every other frame;
    without that one it is what gymnasium's ``AtariPreprocessing`` makes. Episodes are whole games with the game's own scores:
    what is learned from may be clipped (``reward_clip``) and end with a life, what is logged and evaluated does not.

    Args:
        id: a registered id of ale-py.
        num_envs: K.
        noop_max: a game begins with 1 to so many frames in which nothing is done, drawn anew each time; 0 for none.
        frame_skip: frames that an action is held for, whose rewards are added up.
        frame_stack: pictures in an observation; a game begins with as many copies of its first.
        screen_size: height and width of the pictures.
        terminal_on_life_loss: to the learner a lost life ends an episode, while the game goes on.
        fire_reset: press FIRE for one step when a game begins and after each lost life, in games that have it as their second
            action, many of which wait for it.
        repeat_action_probability: with which each frame ignores the action and repeats the one before it (sticky actions,
            Machado et al. 2018, arXiv:1709.06009); ``None``: the id's own, 0.25 for ``ALE/...-v5`` and 0 for ``...-v4``.
        full_action_space: all 18 actions of the console instead of those that the game makes use of.
        kwargs: other arguments of ``gymnasium.make``, such as ``mode`` and ``difficulty``.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.

    Raises:
        ConfigError: no such id, one that is no Atari game, or arguments that it refuses.
    """

    frames_per_second = _FRAMES_PER_SECOND
    on_frame: Callable[[], None] | None = None
    """Called after every frame of the first game, the frames within a step too, so that all can be rendered."""

    def __init__(
        self,
        id: str = "ALE/Pong-v5",
        num_envs: int = 1,
        noop_max: NonNegativeInt = 30,
        frame_skip: PositiveInt = 4,
        frame_stack: PositiveInt = 4,
        screen_size: PositiveInt = 84,
        terminal_on_life_loss: bool = True,
        fire_reset: bool = True,
        repeat_action_probability: Annotated[float, Ge(0), Le(1)] | None = None,
        full_action_space: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        for name in _OWN_ARGUMENTS.keys() & (kwargs or {}).keys():
            raise ConfigError(f"env.kwargs has {name}, which env=atari chooses itself. Try {_OWN_ARGUMENTS[name]}")
        arguments = build_arguments(kwargs or {}, "env.kwargs") | {"frameskip": 1, "full_action_space": full_action_space}
        if repeat_action_probability is not None:
            arguments["repeat_action_probability"] = repeat_action_probability
        if render_mode is not None:
            arguments["render_mode"] = render_mode
        self._games: list[Any] = []  # of ale_py.AtariEnv
        try:
            for _ in range(num_envs):
                self._games.append(_make_game(id, arguments))
        except BaseException:
            self.close()
            raise
        game = self._games[0]
        self._emulators = [each.ale for each in self._games]
        self.action_names: Sequence[str] = game.get_action_meanings()
        self.action_space: Space[Any] = game.action_space
        self._decode = action_decoder(self.action_space)
        self._actions = [action.value for action in game._action_set]
        self._noop_max, self._frame_skip, self._ends_with_life = noop_max, frame_skip, terminal_on_life_loss
        self._fire = self._actions[1] if fire_reset and self.action_names[1:2] == ["FIRE"] else None
        self.default_max_episode_steps: int | None = (
            self._emulators[0].getInt("max_num_frames_per_episode") // frame_skip or None
        )
        height, width = self._emulators[0].getScreenDims()
        self._screen, self._screen_before = np.zeros((2, height, width), np.uint8)
        self._resize = AreaResize(height, width, screen_size)
        shape = (frame_stack, screen_size, screen_size)
        self.observation_space: Space[Any] = Box(0.0, 1.0, shape, np.float32)
        self.observation = np.zeros((num_envs, *shape), np.uint8)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated, self.truncated = np.zeros((2, num_envs), np.bool_)
        self.life_lost: NDArray[np.bool_] = np.zeros(num_envs, np.bool_)
        self._lives = [0] * num_envs
        self._pending_reward = [0.0] * num_envs  # of frames before an episode's first step

    def reset(self, index: int, seed: int) -> None:
        game, emulator = self._games[index], self._emulators[index]
        game.reset(seed=seed)
        reward = 0.0
        for _ in range(game.np_random.integers(1, self._noop_max + 1) if self._noop_max else 0):
            reward += emulator.act(self._actions[0])
            if emulator.game_over():
                game.reset(seed=seed)
                reward = 0.0
        self._pending_reward[index] = reward + self._press_fire(emulator)
        self._lives[index] = emulator.lives()
        emulator.getScreenGrayscale(self._screen)
        self.observation[index] = self._resize(self._screen)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        choices = self._decode(action)
        any_end = False
        for k in active.nonzero()[0].tolist():
            emulator = self._emulators[k]
            reward, self._pending_reward[k] = self._pending_reward[k], 0.0
            reward += self._hold(k, self._actions[int(choices[k])])
            terminated, truncated = emulator.game_over(with_truncation=False), emulator.game_truncated()
            lives = emulator.lives()
            life_lost = 0 < lives < self._lives[k] and not terminated
            self._lives[k] = lives
            if life_lost and not truncated and self._fire is not None:
                reward += self._press_fire(emulator)
                emulator.getScreenGrayscale(self._screen)
                terminated, truncated = emulator.game_over(with_truncation=False), emulator.game_truncated()
            pictures = self.observation[k]
            pictures[:-1] = pictures[1:]
            pictures[-1] = self._resize(self._screen)
            life_lost = life_lost and self._ends_with_life
            self.reward[k] = reward
            self.terminated[k], self.truncated[k], self.life_lost[k] = terminated, truncated, life_lost
            any_end = any_end or terminated or truncated or life_lost
        return any_end

    def _hold(self, k: int, action: int) -> float:
        """Hold an action for a step's frames, or to the game's end; the rewards' sum. ``_screen`` then has the picture."""
        emulator, reward, last = self._emulators[k], 0.0, self._frame_skip - 1
        ended = False
        for frame in range(self._frame_skip):
            reward += emulator.act(action)
            if self.on_frame is not None and k == 0:
                self.on_frame()
            if ended := emulator.game_over():
                break
            if frame == last - 1:
                emulator.getScreenGrayscale(self._screen_before)
        emulator.getScreenGrayscale(self._screen)
        if not ended and last > 0:
            np.maximum(self._screen, self._screen_before, out=self._screen)
        return reward

    def _press_fire(self, emulator: Any) -> float:
        """Hold FIRE for a step, where the game waits for it; the rewards' sum."""
        return 0.0 if self._fire is None else float(sum(emulator.act(self._fire) for _ in range(self._frame_skip)))

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[210, 160, 3]`` of the first game, of some games a few lines higher."""
        picture: NDArray[np.uint8] = self._emulators[0].getScreenRGB()
        return picture

    def close(self) -> None:
        for game in self._games:
            game.close()


def _make_game(id: str, arguments: Mapping[str, Any]) -> Any:
    spec = registered_spec(id)
    if not str(spec.entry_point).startswith("ale_py"):
        raise ConfigError(f"env.id={id} is no Atari game. Try env.id=ALE/Pong-v5, or env=gymnasium env.id={id}")
    ale_py = _import_ale()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # or it prints its version
    game: gymnasium.Env[Any, Any] = make_environment(id, spec, arguments)
    return game.unwrapped


@cache
def _import_ale() -> Any:
    """ale-py, which at exit complains of everything that Python's collector was told to leave alone (``gc.freeze``)."""
    import ale_py

    atexit.register(gc.unfreeze)
    return ale_py
