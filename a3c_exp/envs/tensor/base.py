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
    """The result of one step."""

    state: Tensor  # ``[..., state_size]``, of the same type as the one that was stepped
    reward: Tensor  # ``[...]``, likewise
    terminated: Tensor  # ``[...]`` bool


class TensorEnv(ABC):
    """An environment without memory: the caller holds the state and passes it in.

    ``reset``, ``observe`` and ``step`` are written for any leading shape ``[...]``, without Python control flow on values,
    random operations or writing into their arguments: so they can be recorded, run under ``torch.func.vmap`` and compiled
    together with a network. They compute in the precision of the state: float64 is what gymnasium's environments compute in.
    """

    state_size: int
    reset_noise: int  # random numbers that choose where an episode begins
    observation_space: Box  # observations are float32 whatever the state is
    action_space: Box | Discrete  # Discrete from 0 on
    max_episode_steps: int | None = None  # the time limit that the environment itself declares; it is not applied here
    render_env_id: str | None = None  # the gymnasium environment that draws it, if one has the same numbers as its ``state``

    @abstractmethod
    def reset(self, noise: Tensor) -> Tensor:
        """Where an episode begins: ``[..., state_size]`` from ``noise [..., reset_noise]``, uniform in [0, 1)."""

    @abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """``[..., *observation]`` float32 of ``state [..., state_size]``."""

    @abstractmethod
    def step(self, state: Tensor, action: Tensor) -> Step:
        """One step from ``state [..., state_size]``.

        Args:
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
        """Have the unwrapped environment of ``render_env_id`` stand as ``state [state_size]``, where ``action`` led to."""
        render_env.state = state

    def example_inputs(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """A state and an action of this leading shape: the middle of where episodes begin, and the action 0."""
        state = self.reset(torch.full((*shape, self.reset_noise), 0.5, dtype=dtype))
        assert self.action_space.shape is not None
        kind = torch.int64 if isinstance(self.action_space, Discrete) else torch.float32
        return state, torch.zeros(*shape, *self.action_space.shape, dtype=kind)


class AutoresetStep(NamedTuple):
    """What one step of ``advance`` leads to.

    Attributes:
        final_observation: ``[..., *observation]`` before any reset. A learner that bootstraps takes V of this, everywhere but
            where ``terminated``: that is right in the middle of an episode, at a time limit and at a window's end alike.
    """

    state: Tensor  # ``[..., state_size + 1]``; where the episode ended, that of a new one
    observation: Tensor  # ``[..., *observation]`` of ``state``: what the policy acts on next
    reward: Tensor  # ``[...]`` of the step that was taken
    terminated: Tensor  # ``[...]`` bool: the environment itself ended the episode
    truncated: Tensor  # ``[...]`` bool: the time limit was reached, by an episode that terminates at that very step too
    final_observation: Tensor


def begin(env: TensorEnv, noise: Tensor) -> Tensor:
    """The state ``[..., state_size + 1]`` in which an episode begins, from ``noise [..., reset_noise]``; its last number counts
    the steps since then: 0."""
    state = env.reset(noise)
    return torch.cat([state, torch.zeros_like(state[..., :1])], dim=-1)


def advance(
    env: TensorEnv, state: Tensor, action: Tensor, noise: Tensor, max_episode_steps: int | None = None
) -> AutoresetStep:
    """One step, and the beginning of a new episode wherever it ends one.

    Pure, for any leading shape, without control flow on values: it can be recorded, vmapped and compiled like the environment.

    Args:
        state: ``[..., state_size + 1]``, from ``begin`` or an earlier step.
        action: ``[..., *action]`` as the policy sampled it.
        noise: ``[..., reset_noise]`` drawn beforehand, whether it will be needed or not, uniform in [0, 1): with
            ``env.draw_noise(seed)`` the new episode begins where gymnasium's ``reset(seed=seed)`` would.
        max_episode_steps: steps after which an episode is truncated; ``None`` for never.
    """
    stepped = env.step(state[..., :-1], action)
    elapsed = state[..., -1] + 1.0
    truncated = torch.zeros_like(stepped.terminated) if max_episode_steps is None else elapsed >= max_episode_steps
    continued = torch.cat([stepped.state, elapsed.unsqueeze(-1)], dim=-1)
    ended = (stepped.terminated | truncated).unsqueeze(-1)
    following = torch.where(ended, begin(env, noise), continued)
    observations = env.observe(following[..., :-1]), env.observe(stepped.state)
    return AutoresetStep(following, observations[0], stepped.reward, stepped.terminated, truncated, observations[1])
