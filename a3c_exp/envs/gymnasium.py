"""Any gymnasium environment by its id, K copies side by side in one process."""

import importlib
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.wrappers import compose_wrappers, describe_error
from a3c_exp.spaces.codecs import action_decoder, observation_encoder
from a3c_exp.spaces.flatten import describe_unsupported
from a3c_exp.system.errors import ConfigError

ACTION_NAMES: Mapping[str, Sequence[str]] = {
    "CartPole-v1": ("left", "right"),
    "MountainCar-v0": ("left", "none", "right"),
    "MountainCarContinuous-v0": ("force",),
    "Acrobot-v1": ("torque -1", "torque 0", "torque +1"),
    "Pendulum-v1": ("torque",),
    "LunarLander-v3": ("none", "left engine", "main engine", "right engine"),
}
"""What gymnasium's environments call the choices of a Discrete action space, or the numbers of a Box."""

SPEED_STATE_INDEX: Mapping[str, int] = {
    "CartPole-v1": 1,
    "MountainCar-v0": 1,
    "MountainCarContinuous-v0": 1,
    "Pendulum-v1": 1,
}
"""Where in their state they keep their speed, in m/s or rad/s, but for the mountain cars, which count steps."""


class GymnasiumEnvs(EnvBatch):
    """K copies of one registered gymnasium environment, stepped in a plain loop.

    The environment's own time limit is taken off (the rollout keeps the one that the run asks for) and so are the wrappers that
    only check a programmer's calls; wrappers that belong to the environment stay, and so do those that are listed here.

    Actions and observations may be Box, Discrete, MultiDiscrete, MultiBinary, and Tuple or Dict of these, nested. A network
    sees one float32 array: bytes from 0 to 255 (images) divided by 255, choices as one-hot vectors, nested spaces flattened.

    Args:
        id: a registered id such as ``Pendulum-v1``, or ``module:id``, where importing the module registers the environment.
        num_envs: how many copies.
        kwargs: passed on to ``gymnasium.make``.
        wrappers: put around each copy in this order, the first one innermost; each a dotted name, or a mapping with the name
            under ``_target_`` and the wrapper's arguments.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.

    Raises:
        ConfigError: no such id or wrapper, arguments that either refuses, or spaces that no model supports.
    """

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        kwargs: Mapping[str, Any] | None = None,
        wrappers: Sequence[Mapping[str, Any] | str] = (),
        render_mode: str | None = None,
    ) -> None:
        spec = _spec(id)
        self.num_envs = num_envs
        self._id = id
        wrap = compose_wrappers(wrappers)
        bare = copy(spec)
        bare.max_episode_steps = None
        bare.order_enforce = False
        bare.disable_env_checker = True
        arguments = dict(kwargs or {})
        if render_mode is not None:  # an environment that cannot render need not know the word
            arguments["render_mode"] = render_mode
        self.envs: list[gymnasium.Env[Any, Any]] = []
        try:
            for _ in range(num_envs):
                self.envs.append(wrap(_make(id, bare, arguments)))
            for does, space in (("observes", self.envs[0].observation_space), ("acts in", self.envs[0].action_space)):
                unsupported = describe_unsupported(space)
                if unsupported is not None:
                    raise ConfigError(
                        f"env.id={id} {does} {unsupported}. This program takes Box, Discrete, MultiDiscrete, MultiBinary, and "
                        "Tuple or Dict of these; a wrapper (env.wrappers) can turn other spaces into one of them"
                    )
            self.default_max_episode_steps = spec.max_episode_steps or _wrapper_time_limit(self.envs[0])
            self.action_space = self.envs[0].action_space
            box, self._encode = observation_encoder(self.envs[0].observation_space)
            self.observation_space: Space[Any] = box
            self._decode = action_decoder(self.action_space)
        except BaseException:
            self.close()
            raise
        self.observation = np.zeros((num_envs, *box.shape), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)

    def reset(self, index: int, seed: int) -> None:
        observed, _ = self.envs[index].reset(seed=seed)
        if self._encode is None:
            self.observation[index] = observed
        else:
            self._encode(observed, self.observation[index])

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        envs, actions, encode, observation = self.envs, self._decode(action), self._encode, self.observation
        any_end = False
        for k in active.nonzero()[0].tolist():
            observed, self.reward[k], terminated, truncated, _ = envs[k].step(actions[k])
            if encode is None:
                observation[k] = observed
            else:
                encode(observed, observation[k])
            self.terminated[k], self.truncated[k] = terminated, truncated
            any_end = any_end or terminated or truncated
        return any_end

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment.

        Raises:
            ConfigError: the environment draws none.
        """
        try:
            frame: Any = self.envs[0].render()
        except NotImplementedError:
            frame = None
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise ConfigError(f"env.id={self._id} renders no image (render_mode=rgb_array)")
        return frame

    @property
    def action_names(self) -> Sequence[str] | None:
        return ACTION_NAMES.get(self._id.rpartition(":")[2])

    @property
    def frames_per_second(self) -> float:
        return float(self.envs[0].metadata.get("render_fps", 30))

    def info(self) -> dict[str, float]:
        """The first environment's speed, if it is one of those in ``SPEED_STATE_INDEX``."""
        place = SPEED_STATE_INDEX.get(self._id.rpartition(":")[2])
        state: Any = getattr(self.envs[0].unwrapped, "state", None)
        return {} if place is None or state is None else {"speed": abs(float(np.asarray(state)[place]))}

    def close(self) -> None:
        for env in self.envs:
            env.close()


def _spec(id: str) -> EnvSpec:
    module, colon, name = id.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever importing a user's module raises
            raise ConfigError(
                f"env.id={id} is not a registered gymnasium environment: importing {module or 'nothing'} failed: "
                f"{describe_error(error)}"
            ) from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        raise ConfigError(f"env.id={id} is not a registered gymnasium environment: {describe_error(error)}") from error


def _make(id: str, spec: EnvSpec, arguments: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(spec, **arguments)
    except Exception as error:  # of any kind: the constructor is a third party's
        raise ConfigError(f"env.id={id} could not be made: {describe_error(error)}") from error


def _wrapper_time_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    """The time limit of a TimeLimit among the wrappers, for an environment that declares none itself."""
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            return int(env._max_episode_steps)
        env = env.env
    return None
