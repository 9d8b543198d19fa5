"""The current episodes of K workers of one process: their seeds, lengths and returns so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from a3c_exp.algorithm.batched_policy import zero_actions
from a3c_exp.algorithm.episode_state import ActionLog, EpisodeState
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.runs.log_records import EpisodeEnd

NextEnvSeed = Callable[[int], int | None]


@dataclass(frozen=True)
class EndedEpisode:
    """An episode that a worker of this process finished; rewards are the environment's own."""

    worker: int
    return_: float
    length: int
    end: EpisodeEnd
    env_seed: int


class EpisodeTracker:
    """Counts the steps and rewards of K episodes.

    Args:
        envs: K environments.
        model: whose recurrent state, if it has any, belongs to the episodes.
        next_env_seed: called with a worker's index whenever it could begin an episode; the environment's seed, or ``None``
            if no episode may begin now.
        device: of the recurrent state.
        record_actions: record the actions of current episodes, so that ``episode_state`` can save them.

    Attributes:
        in_episode: ``[K]`` whether a worker is within one.
        length, return_: ``[K]`` steps and rewards so far.
        hidden_state: ``[K, state]`` of a recurrent model.
        zero_action: ``[K, *action]`` zeros of the type of actions.
        episode_starts: ``[K]`` whether a worker's next step is the first of an episode.
        action_log: the actions, if they are recorded.
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
        self._envs = envs
        self._next_env_seed = next_env_seed
        self.in_episode = np.zeros(k, np.bool_)
        self.length = np.zeros(k, np.int64)
        self.return_ = np.zeros(k, np.float64)
        self.episode_starts = np.zeros(k, np.bool_)
        self.any_episode_start = False
        self.hidden_state = torch.zeros(k, model.hidden_state_size, device=device)
        self.zero_action = zero_actions(model.distribution, k)
        # An environment whose state can be saved and loaded needs no replay.
        self._env_states = envs.env_state
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

    def end(self, k: int, t: int, terminated: bool) -> EndedEpisode:
        """Worker k's episode ended with step t of this window."""
        self.in_episode[k] = False
        if self.action_log is not None:
            self.action_log.end_episode(k, t)
        end: EpisodeEnd = "terminated" if terminated else "truncated"
        return EndedEpisode(k, float(self.return_[k]), int(self.length[k]), end, self._env_seeds[k])

    def truncate(self, k: int) -> EndedEpisode | None:
        """End worker k's episode between two windows, as a time limit would; ``None`` if it is in none.

        Its last window is bootstrapped already: a window's last step always takes V of what follows.
        """
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
        )

    def load_episode_states(self, states: Sequence[EpisodeState]) -> list[int]:
        """Bring all K workers back to where they stood: by the environments' states, or by replaying each episode's actions
        from its seed.

        Returns:
            The workers whose environment did not reach the saved observation: they will begin a new episode.
        """
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
        envs.terminated[:] = False
        envs.truncated[:] = False
        for k in in_episode:
            environment = states[k].env_state
            if environment is not None and self._env_states is not None:
                self._env_states[k] = environment.numpy()
                envs.observation[k] = states[k].observation.numpy()
        diverged = [k for k in in_episode if not states[k].matches(torch.from_numpy(envs.observation[k]))]
        for k in in_episode:
            if k in diverged:
                envs.observation[k] = 0.0
                continue
            state = states[k]
            self.in_episode[k] = True
            self._env_seeds[k], self.length[k], self.return_[k] = state.seed, state.length, state.return_
            self.hidden_state[k] = state.hidden_state.to(self.hidden_state.device)
            if self.action_log is not None:
                self.action_log.set_episode_actions(k, state.actions.numpy())
        return diverged
