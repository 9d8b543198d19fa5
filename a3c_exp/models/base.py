"""What a model must offer: parameters of a policy and a value for each observation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from a3c_exp.models.distributions import Distribution


class PolicyValue(NamedTuple):
    """A model's output for observations ``[..., *observation]``."""

    parameters: Tensor  # [..., distribution.parameters_size]
    value: Tensor  # [...], no trailing 1: a [n, 1] value against a [n] target broadcasts to nonsense
    hidden_state: Tensor  # [..., state_size], the recurrent state after this observation


class ActorCritic(nn.Module):
    """An actor and a critic in one module, written for one worker's weights. ``stackable``: K copies of its weights run faster
    stacked than one by one, as those of dense layers do, and of convolutions do not."""

    distribution: Distribution  # over actions, whose parameters it computes
    hidden_state_size: int = 0  # numbers of recurrent state; 0 for feed-forward models
    stackable: bool = True

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        """Parameters and value of observations with any leading shape; the module does not change."""
        raise NotImplementedError

    def unroll(self, observation: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None = None) -> PolicyValue:
        """``forward`` along a window's steps, each from the state after the previous one: the output of each, ``[..., n, *]``.

        A recurrent model that can do part of its work for all steps at once overrides this; the output is the same.

        Args:
            observation: ``[..., n, *observation]``.
            episode_start: ``[..., n]`` 1 where a step begins an episode, and the state before it is reset.
            hidden_state: ``[..., state_size]`` at the window's start.
            bptt: no gradient flows back past every so many steps, counted from the window's start; ``None`` for none cut.
        """
        time, outputs = episode_start.dim() - 1, []
        keep_mask = (1.0 - episode_start).unsqueeze(-1).unbind(time)
        for t, observed in enumerate(observation.unbind(time)):
            output = self(observed, detach_hidden_state(hidden_state, t, bptt) * keep_mask[t])
            hidden_state = output.hidden_state
            outputs.append(output)
        return PolicyValue(*(torch.stack(parts, dim=time) for parts in zip(*outputs, strict=True)))


def network_input(observation: Tensor) -> Tensor:
    """Observations as a network reads them: bytes, which pictures are stored as, in float32 from 0 to 1; others unchanged."""
    return observation.to(torch.float32) / 255 if observation.dtype is torch.uint8 else observation


def detach_hidden_state(hidden_state: Tensor, t: int, bptt: int | None) -> Tensor:
    """The state before a window's step t, detached where truncated back-propagation ends."""
    return hidden_state if bptt is None or t % bptt else hidden_state.detach()
