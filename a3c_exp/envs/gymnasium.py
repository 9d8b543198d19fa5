"""Any gymnasium task by its id, K copies side by side in one process."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from a3c_exp.core.errors import ConfigError


class GymnasiumEnvironments:
    """K copies of one registered gymnasium environment, stepped in a plain loop.

    The task's own time limit is taken off (the rollout keeps the one that the run asks for) and so are the wrappers that only
    check a programmer's calls; wrappers that belong to the task stay.

    Args:
        id: a registered id such as ``Pendulum-v1``.
        num_envs: how many copies.
        kwargs: passed on to ``gymnasium.make``.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.

    Raises:
        ConfigError: no such id, arguments that the task refuses, or spaces that no model here can take.
    """

    def __init__(
        self, id: str, num_envs: int = 1, kwargs: Mapping[str, Any] | None = None, render_mode: str | None = None
    ) -> None:
        spec = _spec(id)
        self.num_envs = num_envs
        self.default_max_episode_steps = spec.max_episode_steps
        bare = copy(spec)
        bare.max_episode_steps = None
        bare.order_enforce = False
        bare.disable_env_checker = True
        arguments = dict(kwargs or {})
        if render_mode is not None:  # a task that cannot render need not know the word
            arguments["render_mode"] = render_mode
        try:
            made = [gymnasium.make(bare, **arguments) for _ in range(num_envs)]
        except Exception as error:  # whatever a third party's constructor raises is the person's to mend
            raise ConfigError(f"env.id={id} could not be made: {type(error).__name__}: {error}") from error
        self.envs: list[gymnasium.Env[Any, Any]] = made
        self.observation_space = made[0].observation_space
        self.action_space = made[0].action_space
        if not isinstance(self.observation_space, Box):
            raise ConfigError(
                f"{id} observes a {type(self.observation_space).__name__} space; this version takes Box observations. "
                "Wrap the task (gymnasium.wrappers.FlattenObservation) and register it under an id of its own"
            )
        if not isinstance(self.action_space, Box | Discrete):
            raise ConfigError(
                f"{id} acts in a {type(self.action_space).__name__} space; this version takes Box and Discrete actions"
            )
        self.observation = np.zeros((num_envs, *self.observation_space.shape), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._box = self.action_space if isinstance(self.action_space, Box) else None
        self._offset = int(self.action_space.start) if isinstance(self.action_space, Discrete) else 0

    def reset(self, index: int, seed: int) -> None:
        self.observation[index], _ = self.envs[index].reset(seed=seed)

    def step(self, action: NDArray[Any], live: NDArray[np.bool_]) -> bool:
        if self._box is not None:
            action = action.reshape(self.num_envs, *self._box.shape)
            action = np.minimum(np.maximum(action, self._box.low), self._box.high)
        elif self._offset:
            action = action + self._offset
        any_end = False
        for k in live.nonzero()[0].tolist():
            observed, reward, terminated, truncated, _ = self.envs[k].step(action[k])
            self.observation[k] = observed
            self.reward[k] = reward
            self.terminated[k] = terminated
            self.truncated[k] = truncated
            any_end = any_end or terminated or truncated
        return any_end

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment."""
        frame = self.envs[0].render()
        assert isinstance(frame, np.ndarray), "made without render_mode='rgb_array'"
        return frame

    def close(self) -> None:
        for env in self.envs:
            env.close()


def _spec(id: str) -> EnvSpec:
    try:
        return gymnasium.spec(id)
    except gymnasium.error.Error as error:
        raise ConfigError(f"env.id={id} is not a registered gymnasium task: {error}") from error
