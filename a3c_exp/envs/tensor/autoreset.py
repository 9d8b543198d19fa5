"""A pure step that counts, ends episodes and begins new ones, so that whole rollouts can be compiled."""

from typing import NamedTuple

import torch
from torch import Tensor

from a3c_exp.envs.tensor.base import TensorEnv


class AutoresetStep(NamedTuple):
    """What one step of ``advance`` leads to.

    Attributes:
        state: ``[..., state_size + 1]``; where the episode ended, that of a new one.
        observation: ``[..., *observation]`` of ``state``: what the policy acts on next.
        reward: ``[...]`` of the step that was taken.
        terminated: ``[...]`` bool: the environment itself ended the episode.
        truncated: ``[...]`` bool: the time limit was reached, by an episode that terminates at that very step too.
        final_observation: ``[..., *observation]`` before any reset, the same as ``observation`` where no episode ended. A
            learner that bootstraps takes V of this, everywhere but where ``terminated``: that is right in the middle of an
            episode, at a time limit and at a window's end alike. ``observation`` belongs to the next episode already.
    """

    state: Tensor
    observation: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    final_observation: Tensor


def begin(env: TensorEnv, noise: Tensor) -> Tensor:
    """The state ``[..., state_size + 1]`` in which an episode begins, from ``noise [..., reset_noise]``.

    Its last number counts the steps since then: 0.
    """
    state = env.reset(noise)
    return torch.cat([state, torch.zeros_like(state[..., :1])], dim=-1)


def advance(
    env: TensorEnv, state: Tensor, action: Tensor, noise: Tensor, max_episode_steps: int | None = None
) -> AutoresetStep:
    """One step, and the beginning of a new episode wherever it ends one.

    Pure, for any leading shape, without control flow on values: it can be recorded, vmapped and compiled like the environment.

    Args:
        env: the environment.
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
    final_observation = env.observe(stepped.state)
    return AutoresetStep(
        state=following,
        observation=env.observe(following[..., :-1]),
        reward=stepped.reward,
        terminated=stepped.terminated,
        truncated=truncated,
        final_observation=final_observation,
    )
