"""The current episodes of K workers of one process: their seeds, lengths and returns so far, and how they are saved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import zero_actions
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.runs.log_records import EpisodeEnd

NextEnvSeed = Callable[[int], int | None]
_MAX_CHUNKS = 1000


@dataclass(frozen=True)
class EndedEpisode:
    """An episode that a worker of this process finished; rewards are the environment's own."""

    worker: int
    return_: float
    length: int
    end: EpisodeEnd
    env_seed: int
    info: Mapping[str, float] = field(default_factory=dict)  # what the environment adds (``EnvBatch.episode_info``)


@dataclass(frozen=True)
class EpisodeState:
    """One worker between two windows. An environment is saved as its own state, if it offers that, or as the seed of its reset
    and the actions since: replaying them leads to the same state, which the observation verifies."""

    in_episode: bool  # if it is within none, the rest has no meaning
    seed: int  # what the environment was reset with
    length: int  # environment steps of the episode so far
    return_: float  # sum of its rewards so far
    observation: Tensor  # [*observation] the latest
    hidden_state: Tensor  # [state] of a recurrent model
    actions: Tensor  # [length, *action] since the reset; none if the environment's own state is saved
    env_state: Tensor | None = None  # the environment's own
    discounted_return: float = 0.0  # of the episode so far, where rewards are normalized

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def not_started(cls) -> "EpisodeState":
        """A worker that is within no episode."""
        return cls(False, 0, 0, 0.0, torch.empty(0), torch.empty(0), torch.empty(0))

    def matches(self, observation: Tensor) -> bool:
        """Whether a replayed environment's observation is the same, bit for bit."""
        same_type = observation.dtype == self.observation.dtype and observation.shape == self.observation.shape
        return same_type and torch.equal(observation.view(torch.uint8), self.observation.view(torch.uint8))


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


class EpisodeTracker:
    """Counts the steps and rewards of K episodes.

    Args:
        next_env_seed: called with a worker's index whenever it could begin an episode; the environment's seed, or ``None``
            if no episode may begin now.
        record_actions: record the actions of current episodes, so that ``episode_state`` can save them.

    Attributes:
        in_episode, length, return_: ``[K]`` whether a worker is within one, and its steps and rewards so far.
        hidden_state: ``[K, state]`` of a recurrent model.
        zero_action: ``[K, *action]`` zeros of the type of actions.
        episode_starts: ``[K]`` whether a worker's next step is the first of an episode.
    """

    def __init__(
        self,
        envs: EnvBatch,
        model: ActorCritic,
        next_env_seed: NextEnvSeed,
        device: torch.device | str = "cpu",
        record_actions: bool = False,
    ) -> None:
        k = envs.num_envs
        self._envs, self._next_env_seed = envs, next_env_seed
        self.in_episode, self.episode_starts = np.zeros((2, k), np.bool_)
        self.length, self.return_ = np.zeros(k, np.int64), np.zeros(k, np.float64)
        self.any_episode_start = False
        self.hidden_state = torch.zeros(k, model.hidden_state_size, device=device)
        self.discounted_return = torch.zeros(k, device=device)  # as of the last step that was learned from
        self.zero_action = zero_actions(model.distribution, k)
        self._episode_info = envs.episode_info
        self._env_states = envs.env_state  # where they can be saved and loaded, no replay is needed
        self.action_log = ActionLog(k) if record_actions and self._env_states is None else None
        self._env_seeds = [0] * k

    def begin(self, k: int) -> bool:
        """Reset worker k's environment for a new episode; false if none may begin now."""
        seed = self.start(k)
        if seed is None:
            return False
        self._envs.reset(k, seed)
        return True

    def start(self, k: int) -> int | None:
        """Count a new episode of worker k; the seed to reset its environment with, or ``None``."""
        seed = self._next_env_seed(k)
        if seed is not None:
            self._env_seeds[k] = seed
            self.length[k] = 0
            self.return_[k] = 0.0
            self.in_episode[k] = True
            self.episode_starts[k] = self.any_episode_start = True
        return seed

    def begin_life(self, lost: NDArray[np.bool_]) -> None:
        """The workers ``lost [K]`` go on within their episode as if it began: with an empty recurrent state."""
        self.episode_starts |= lost
        self.any_episode_start = True
        if self.hidden_state.shape[1]:
            keep = torch.from_numpy(~lost).to(self.hidden_state.device).unsqueeze(-1)
            self.hidden_state = torch.where(keep, self.hidden_state, 0.0)  # now, so that a checkpoint has it

    def end(self, k: int, t: int, terminated: bool) -> EndedEpisode:
        """Worker k's episode ended with step t of this window."""
        self.in_episode[k] = False
        if self.action_log is not None:
            self.action_log.end_episode(k, t)
        end: EpisodeEnd = "terminated" if terminated else "truncated"
        info = dict(self._episode_info(k)) if self._episode_info is not None else {}
        return EndedEpisode(k, float(self.return_[k]), int(self.length[k]), end, self._env_seeds[k], info)

    def truncate(self, k: int) -> EndedEpisode | None:
        """End worker k's episode between two windows, as a time limit would; ``None`` if it is in none. Its last window is
        bootstrapped already: a window's last step always takes V of what follows."""

        if not self.in_episode[k]:
            return None
        self._envs.observation[k] = 0.0
        return self.end(k, -1, terminated=False)

    def episode_state(self, k: int) -> EpisodeState:
        """Where a worker stands; only between two windows, and only with ``record_actions``."""
        assert self.action_log is not None or self._env_states is not None, "needs record_actions=True"
        return EpisodeState(
            in_episode=bool(self.in_episode[k]),
            seed=self._env_seeds[k],
            length=int(self.length[k]),
            return_=float(self.return_[k]),
            observation=torch.from_numpy(self._envs.observation[k].copy()),
            hidden_state=self.hidden_state[k].cpu().clone(),
            actions=torch.from_numpy(
                self.zero_action[:0] if self.action_log is None else self.action_log.episode_actions(k, like=self.zero_action)
            ),
            env_state=None if self._env_states is None else torch.from_numpy(self._env_states[k].copy()),
            discounted_return=float(self.discounted_return[k]),
        )

    def load_episode_states(self, states: Sequence[EpisodeState]) -> list[int]:
        """Bring all K workers back to where they stood, by the environments' states or by replaying the actions since a reset.
        Returns those whose environment did not reach the saved observation: they will begin a new episode."""
        envs, in_episode = self._envs, [k for k, state in enumerate(states) if state.in_episode]
        for k in in_episode:
            envs.reset(k, states[k].seed)
        replayed = [state.in_episode and state.env_state is None for state in states]
        lengths = np.array([state.length if replay else 0 for state, replay in zip(states, replayed, strict=True)])
        actions = self.zero_action.copy()
        for t in range(int(lengths.max(initial=0))):
            active = lengths > t
            for k in active.nonzero()[0].tolist():
                actions[k] = states[k].actions[t].numpy()
            envs.step(actions, active)
        envs.terminated[:] = envs.truncated[:] = False
        diverged: list[int] = []
        for k in in_episode:
            state = states[k]
            if state.env_state is not None and self._env_states is not None:
                self._env_states[k], envs.observation[k] = state.env_state.numpy(), state.observation.numpy()
            if not state.matches(torch.from_numpy(envs.observation[k])):
                envs.observation[k] = 0.0
                diverged.append(k)
                continue
            self.in_episode[k] = True
            self._env_seeds[k], self.length[k], self.return_[k] = state.seed, state.length, state.return_
            self.hidden_state[k] = state.hidden_state.to(self.hidden_state.device)
            self.discounted_return[k] = state.discounted_return
            if self.action_log is not None:
                self.action_log.set_episode_actions(k, state.actions.numpy())
        return diverged
