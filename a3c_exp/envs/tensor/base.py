"""The interface of an environment written in tensors: its dynamics as pure functions, for one or for any number at once."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import seeding
from numpy.typing import NDArray
from torch import Tensor


class Step(NamedTuple):
    """The result of one step.

    Attributes:
        state: ``[..., state_size]``, of the same type as the one that was stepped.
        reward: ``[...]``, likewise.
        terminated: ``[...]`` bool.
    """

    state: Tensor
    reward: Tensor
    terminated: Tensor


class TensorEnv(ABC):
    """An environment without memory: the caller holds the state and passes it in.

    ``reset``, ``observe`` and ``step`` are written for any leading shape ``[...]``, without Python control flow on values,
    random operations or writing into their arguments: so they can be recorded, run under ``torch.func.vmap`` and compiled
    together with a network. They compute in the precision of the state: float64 is what gymnasium's environments compute in.

    Attributes:
        state_size: size of a state.
        reset_noise: random numbers that choose where an episode begins.
        observation_space: a Box; observations are float32 whatever the state is.
        action_space: a Box, or Discrete from 0 on.
        max_episode_steps: the time limit that the environment itself declares, or ``None``. It is not applied here.
        render_env_id: the gymnasium environment that draws it, if its ``state`` is the same numbers; ``None`` if it cannot be
        drawn.
    """

    state_size: int
    reset_noise: int
    observation_space: Box
    action_space: Box | Discrete
    max_episode_steps: int | None = None
    render_env_id: str | None = None

    @abstractmethod
    def reset(self, noise: Tensor) -> Tensor:
        """Where an episode begins: ``[..., state_size]`` from ``noise [..., reset_noise]``, uniform in [0, 1)."""

    @abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """``[..., *observation]`` float32 of ``state [..., state_size]``."""

    @abstractmethod
    def step(self, state: Tensor, action: Tensor) -> Step:
        """One step.

        Args:
            state: ``[..., state_size]``.
            action: ``[..., *action]`` as a policy samples it: int64 for Discrete; float32 for a Box, possibly beyond its
                bounds; ``clip`` clips it.
        """

    def clip(self, action: Tensor) -> Tensor:
        """An action of a Box whose bounds are alike in all its numbers, clipped to them."""
        assert isinstance(self.action_space, Box)
        return action.clamp(float(self.action_space.low.flat[0]), float(self.action_space.high.flat[0]))

    def draw_noise(self, seed: int) -> NDArray[np.float64]:
        """``[reset_noise]`` of this episode: what gymnasium's own generator draws first in ``reset(seed=seed)``."""
        return seeding.np_random(seed)[0].random(self.reset_noise)

    def set_state(self, render_env: Any, state: NDArray[np.float64], action: NDArray[Any] | None) -> None:
        """Have the unwrapped environment of ``render_env_id`` stand as ``state [state_size]``, which ``action`` led to, if any
        did."""
        render_env.state = state

    def example_inputs(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """A state and an action of this leading shape: the middle of where episodes begin, and the action 0."""
        state = self.reset(torch.full((*shape, self.reset_noise), 0.5, dtype=dtype))
        assert self.action_space.shape is not None
        kind = torch.int64 if isinstance(self.action_space, Discrete) else torch.float32
        return state, torch.zeros(*shape, *self.action_space.shape, dtype=kind)
