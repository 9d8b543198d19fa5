"""Where one worker stands within its episode, as a checkpoint keeps it: enough to live the same episode on."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpisodeState:
    """One worker between two windows.

    An environment is kept as the seed of its reset and the actions since: whoever replays them comes to the same state, and
    the observation tells whether that is so.

    Attributes:
        in_episode: whether it is within an episode; if not, the rest means nothing.
        seed: what the environment was reset with.
        length: environment steps of the episode so far.
        return_: sum of its rewards so far.
        observation: ``[*observation]`` the latest.
        memory: ``[state]`` of a recurrent model.
        actions: ``[length, *action]`` since the reset.
    """

    in_episode: bool
    seed: int
    length: int
    return_: float
    observation: Tensor
    memory: Tensor
    actions: Tensor

    def plain(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "EpisodeState":
        return cls(**plain)

    def matches(self, observation: Tensor) -> bool:
        """Whether an environment that was replayed shows the very same, bit for bit."""
        same_kind = observation.dtype == self.observation.dtype and observation.shape == self.observation.shape
        return same_kind and torch.equal(observation.view(torch.uint8), self.observation.view(torch.uint8))
