"""Where one worker stands within its episode, as a checkpoint saves it: enough to continue the same episode."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class EpisodeState:
    """One worker between two windows.

    An environment is saved as its own state, if it offers that, or as the seed of its reset and the actions since: replaying
    them leads to the same state, which the observation verifies.

    Attributes:
        in_episode: whether it is within an episode; if not, the rest has no meaning.
        seed: what the environment was reset with.
        length: environment steps of the episode so far.
        return_: sum of its rewards so far.
        observation: ``[*observation]`` the latest.
        hidden_state: ``[state]`` of a recurrent model.
        actions: ``[length, *action]`` since the reset; none if the environment's own state is saved.
        env_state: the environment's own state.
    """

    in_episode: bool
    seed: int
    length: int
    return_: float
    observation: Tensor
    hidden_state: Tensor
    actions: Tensor
    env_state: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> "EpisodeState":
        return cls(**state_dict)

    @classmethod
    def not_started(cls) -> "EpisodeState":
        """A worker that is within no episode."""
        return cls(False, 0, 0, 0.0, torch.empty(0), torch.empty(0), torch.empty(0))

    def matches(self, observation: Tensor) -> bool:
        """Whether a replayed environment's observation is the same, bit for bit."""
        same_type = observation.dtype == self.observation.dtype and observation.shape == self.observation.shape
        return same_type and torch.equal(observation.view(torch.uint8), self.observation.view(torch.uint8))


_MAX_CHUNKS = 1000


class ActionLog:
    """The actions of K workers' current episodes, stored window by window."""

    def __init__(self, workers: int) -> None:
        self._actions: list[list[NDArray[Any]]] = [[] for _ in range(workers)]
        self._first_step = [0] * workers  # the step of this window at which the current episode began

    def end_episode(self, worker: int, t: int) -> None:
        """An episode ended at step t of this window; later actions belong to the next one."""
        self._actions[worker] = []
        self._first_step[worker] = t + 1

    def add_window(self, action: NDArray[Any], steps: NDArray[np.int64]) -> None:
        """Add a window's ``action [K, n, ...]``, of which each worker took the first ``steps [K]``."""
        block = action.copy()
        for worker, count in enumerate(steps.tolist()):
            if count > self._first_step[worker]:
                self._actions[worker].append(block[worker, self._first_step[worker] : count])
                if len(self._actions[worker]) >= _MAX_CHUNKS:  # an endless episode must not become a million little arrays
                    self._actions[worker] = [np.concatenate(self._actions[worker])]
            self._first_step[worker] = 0

    def episode_actions(self, worker: int, like: NDArray[Any]) -> NDArray[Any]:
        """``[length, *action]`` of the current episode; ``like [K, *action]`` gives type and shape."""
        return np.concatenate([like[:0], *self._actions[worker]])

    def set_episode_actions(self, worker: int, actions: NDArray[Any]) -> None:
        self._actions[worker] = [actions]
