"""Environments in tensors as gymnasium's vector environments, for programs other than this one."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from a3c_exp.envs.tensor.base import TensorEnv
from a3c_exp.envs.tensor.batch import TensorEnvBatch
from a3c_exp.envs.tensor.tasks import make_tensor_env

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class TensorVectorEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """What ``gymnasium.vector.SyncVectorEnv`` of the same environment and time limit is, step by step, and faster.

    Each environment has a random generator of its own, seeded with ``seed + its index`` or from a list of seeds; episodes that
    begin by themselves go on drawing from it. Returned arrays are copies. Actions beyond their bounds are clipped, for which
    gymnasium's MountainCarContinuous takes more off the reward.

    Args:
        env: the environment in tensors.
        num_envs: K.
        max_episode_steps: the time limit; ``None`` for none.
        autoreset_mode: ``NextStep`` (gymnasium's default: the step after an episode's end is its reset, whatever the action),
            ``SameStep`` (the last observation is in ``infos["final_obs"]``) or ``Disabled`` (the caller resets those that ended
            by ``options={"reset_mask": ...}``). It stands in ``metadata["autoreset_mode"]``.
        render_mode: ``rgb_array``, for pictures of all; or ``None``.

    Raises:
        ValueError: an unknown ``autoreset_mode`` or ``render_mode``.
    """

    def __init__(
        self,
        env: TensorEnv,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is {render_mode!r}, but a vector of environments in tensors has only 'rgb_array'")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": ["rgb_array"], "autoreset_mode": self.autoreset_mode}
        self.render_mode, self.num_envs, self.max_episode_steps = render_mode, num_envs, max_episode_steps
        self._env, self._envs = env, TensorEnvBatch(env, num_envs, render_mode)
        self.single_observation_space = env.observation_space
        self.single_action_space = env.action_space
        self.observation_space = batch_space(env.observation_space, num_envs)
        self.action_space = batch_space(env.action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._elapsed = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every environment, or in those of ``options["reset_mask"] [K]`` only, the one option. A list of
        seeds has one for each environment."""
        mask = self._reset_mask(options)
        seeds = [None if seed is None else seed + k for k in range(self.num_envs)] if not isinstance(seed, Sequence) else seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds were given for {self.num_envs} environments")
        for k in mask.nonzero()[0].tolist():
            if seeds[k] is not None or self._generators[k] is None:
                self._generators[k], _ = seeding.np_random(seeds[k])
            self._begin(k)
        return self._envs.observation.copy(), {}

    def step(self, actions: NDArray[Any]) -> StepResult:
        """One step of all, ``actions [K, ...]``; see ``autoreset_mode`` for what becomes of episodes that end."""
        mode, envs = self.autoreset_mode, self._envs
        resets = self._ended if mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._ended)
        assert mode is not AutoresetMode.DISABLED or not self._ended.any(), "an episode that ended was not reset by the caller"
        envs.step(np.asarray(actions), ~resets)
        self._elapsed += 1
        reward, terminated, limit = envs.reward.copy(), envs.terminated.copy(), self.max_episode_steps
        truncated = self._elapsed >= limit if limit is not None else np.zeros_like(terminated)
        for k in resets.nonzero()[0].tolist():
            self._begin(k)
            reward[k], terminated[k], truncated[k] = 0.0, False, False
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if mode is AutoresetMode.SAME_STEP:
            for k in ended.nonzero()[0].tolist():
                infos = self._add_info(infos, {"final_obs": envs.observation[k].copy(), "final_info": {}}, k)
                self._begin(k)
        else:
            self._ended = ended
        return envs.observation.copy(), reward, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """A picture ``[height, width, 3]`` of each."""
        return tuple(self._envs.picture(k) for k in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        self._envs.close()

    def _begin(self, k: int) -> None:
        random = self._generators[k]
        assert random is not None, "reset comes before step"
        self._envs.begin(k, random.random(self._env.reset_noise))
        self._elapsed[k] = 0
        self._ended[k] = False

    def _reset_mask(self, options: dict[str, Any] | None) -> NDArray[np.bool_]:
        unknown = set(options or {}) - {"reset_mask"}
        if unknown:
            raise ValueError(f"reset was given the options {sorted(unknown)}, but there is only reset_mask")
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"reset_mask is {list(mask.shape)} of {mask.dtype}, but it is [{self.num_envs}] of bool")
        return mask


# What the registry's `a3c_exp/Pendulum-v1` and so on call.
acrobot = partial(TensorVectorEnv, make_tensor_env("Acrobot-v1"))
cartpole = partial(TensorVectorEnv, make_tensor_env("CartPole-v1"))
mountain_car = partial(TensorVectorEnv, make_tensor_env("MountainCar-v0"))
mountain_car_continuous = partial(TensorVectorEnv, make_tensor_env("MountainCarContinuous-v0"))
pendulum = partial(TensorVectorEnv, make_tensor_env("Pendulum-v1"))
