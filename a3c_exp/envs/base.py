"""The interface of K environments that the rollout steps."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

if TYPE_CHECKING:
    from a3c_exp.envs.tensor.base import TensorEnv


class EnvBatch(Protocol):
    """K independent environments in one process. They keep no time limit of their own: the rollout counts steps.

    Derive a class from this one: what it does not offer then has a value that says so.

    Attributes:
        evaluation_kwargs: constructor arguments with which evaluations make the environments, whatever the run's are: for
            options that make an episode easier to learn from and must not flatter a policy.
        tensor_env: the environment as pure functions of tensors, from which whole rounds can be compiled, if it has them.
        env_state: ``[K, ...]`` the whole state of the environments, overwritten in place: writing a row back, with the
            observation that belongs to it, restores that moment exactly. ``None``: episodes are replayed instead.
        observation_space, action_space: of one environment; what it observes is always a float32 Box, as networks see it.
        raw_observation_space: as the environment itself declares it; ``None``: as it stands in ``observation_space``.
        default_max_episode_steps: the time limit that the environment itself declares, or ``None``.
        observation: ``[K, *observation]`` float32, always the latest one of each environment; overwritten in place. Or uint8,
            for pictures: a network sees the bytes divided by 255, and the space says from 0 to 1.
        reward: ``[K]`` float64, of the last step, as the environment gave it.
        terminated, truncated: ``[K]`` bool, of the last step.
        life_lost: ``[K]`` bool, of the last step: the episode goes on, but nothing that follows is a consequence to learn from,
            as if it had terminated. ``None``: there is no such thing.
        action_names: of a Discrete space's choices, or of a Box's numbers, for rendered frames.
        frames_per_second: of the environment's real time.
        episode_info: called with an index when that environment's episode has ended: numbers of it that logs are to have, by
            name, NaN for what it did not have. ``None``: there are none.

    For rendered frames of the first environment it may have two things more: ``info()``, what they should show, such as the
    speed; and, if a step is several frames, an attribute ``on_frame``, a function that it calls after each of them.
    """

    evaluation_kwargs: Mapping[str, Any] = MappingProxyType({})
    tensor_env: "TensorEnv | None" = None
    env_state: NDArray[np.float64] | None = None
    num_envs: int
    observation_space: Space[Any]
    raw_observation_space: Space[Any] | None = None
    action_space: Space[Any]
    default_max_episode_steps: int | None
    observation: NDArray[Any]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    life_lost: NDArray[np.bool_] | None = None
    action_names: Sequence[str] | None = None
    frames_per_second: float = 30.0
    episode_info: Callable[[int], Mapping[str, float]] | None = None

    def reset(self, index: int, seed: int) -> None:
        """Begin a new episode in one environment; ``observation[index]`` is its first."""

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        """One step of every environment that is ``active [K]``; the others are left alone.

        Args:
            action: ``[K, ...]`` as the policy sampled it, int64 or float32; that of a Tuple or Dict is one vector, in the order
                of ``spaces.flatten.leaf_paths``. Clipped here to the action space's bounds, and nowhere else.

        Returns:
            Whether any active environment terminated, was truncated by itself or lost a life.
        """

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""

    def close(self) -> None: ...


def space_of_observations(envs: EnvBatch) -> Space[Any]:
    """The space of what a policy is given: what the environment itself declares; where it has stored pictures, their bytes."""
    if envs.raw_observation_space is not None:
        return envs.raw_observation_space
    box = envs.observation_space
    if envs.observation.dtype == np.uint8:
        return Box(0, 255, box.shape, np.uint8)
    return box
