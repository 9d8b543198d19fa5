"""Classic control environments by gymnasium's own code or as batched tensors: the same episodes either way."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.system.errors import ConfigError

if TYPE_CHECKING:
    from a3c_exp.envs.tensor.base import TensorEnv
    from a3c_exp.envs.tensor.batch import TensorEnvBatch


class ClassicControlEnvs(EnvBatch):
    """K copies of one environment, stepped one after another by gymnasium or all at once in tensors.

    Both give the same observations, rewards and flags for the same seeds and actions; ``tensor`` is many times faster.

    Args:
        id: a registered gymnasium id; Pendulum-v1 or CartPole-v1 for ``backend="tensor"``.
        num_envs: K.
        backend: ``gymnasium`` or ``tensor``.
        kwargs, wrappers: as ``GymnasiumEnvs`` takes them; for gymnasium's code only.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.

    Attributes:
        tensor_env: the environment as pure functions of tensors; ``None`` with ``backend="gymnasium"``.

    Raises:
        ConfigError: no such environment in tensors, wrappers or arguments for one, or whatever ``GymnasiumEnvs`` refuses.
    """

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        backend: Literal["gymnasium", "tensor"] = "gymnasium",
        kwargs: Mapping[str, Any] | None = None,
        wrappers: Sequence[Mapping[str, Any] | str] = (),
        render_mode: str | None = None,
        run_max_episode_steps: int | None = None,
    ) -> None:
        if backend == "gymnasium":
            self._envs: GymnasiumEnvs | TensorEnvBatch = GymnasiumEnvs(
                id, num_envs, kwargs, wrappers, render_mode, run_max_episode_steps
            )
        else:
            for key, value in (("kwargs", kwargs), ("wrappers", wrappers)):
                if value:
                    raise ConfigError(
                        f"env.{key} is {value}, which is for gymnasium's own code and not for env.backend={backend}. "
                        f"Try env.backend=gymnasium"
                    )
            self._envs = _make_tensor_envs(id, num_envs, render_mode)
        envs = self._envs
        self.tensor_env, self.env_state = envs.tensor_env, envs.env_state
        self.num_envs = num_envs
        self.observation_space = envs.observation_space
        self.action_space = envs.action_space
        self.default_max_episode_steps = envs.default_max_episode_steps
        self.observation = envs.observation
        self.reward = envs.reward
        self.terminated = envs.terminated
        self.truncated = envs.truncated
        # One call less at every step.
        self._step = envs.step

    def reset(self, index: int, seed: int) -> None:
        self._envs.reset(index, seed)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        return self._step(action, active)

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""
        return self._envs.render()

    @property
    def action_names(self) -> Sequence[str] | None:
        return self._envs.action_names

    @property
    def frames_per_second(self) -> float:
        return self._envs.frames_per_second

    def info(self) -> dict[str, float]:
        """What the environment says of the first environment, such as its speed."""
        return self._envs.info()

    def close(self) -> None:
        self._envs.close()


def _make_tensor_envs(id: str, num_envs: int, render_mode: str | None) -> "TensorEnvBatch":
    # Here, since torch takes seconds to load and processes of a pool that step gymnasium's code need none of it.
    from a3c_exp.envs.tensor.batch import TensorEnvBatch
    from a3c_exp.envs.tensor.cartpole import CartPole
    from a3c_exp.envs.tensor.pendulum import Pendulum

    environments: dict[str, type[TensorEnv]] = {"Pendulum-v1": Pendulum, "CartPole-v1": CartPole}
    if id not in environments:
        raise ConfigError(
            f"env.id={id} is not written in tensors, only {' and '.join(environments)} are. Try "
            "env.backend=gymnasium, or write it "
            "yourself: docs/tensor-environments.md"
        )
    return TensorEnvBatch(environments[id](), num_envs, render_mode)
