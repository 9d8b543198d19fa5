"""The episodes that K workers of one process have under way: where each began, how far it is, what it earned so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.episode_state import ActionLog, EpisodeState
from a3c_exp.envs.base import Environments
from a3c_exp.models.base import ActorCritic
from a3c_exp.runs.log_records import EpisodeEnd

BeginEpisode = Callable[[int], int | None]


@dataclass(frozen=True)
class EndedEpisode:
    """An episode that a worker of this process just finished; rewards are the environment's own."""

    worker: int
    return_: float
    length: int
    end: EpisodeEnd
    env_seed: int


class Episodes:
    """K episodes, in the books.

    Args:
        envs: K environments.
        model: whose recurrent state, if it has any, goes with the episodes, and whose actions are kept.
        begin_episode: asked with a worker's index whenever it could begin an episode; the environment's seed, or ``None``
            when there is no episode to be had now.
        device: where the recurrent state lies.
        keep_actions: remember the actions of the episodes under way, so that ``save`` can tell how to come back to them.

    Attributes:
        in_episode: ``[K]`` who is within one.
        length, return_: ``[K]`` steps and rewards so far.
        memory: ``[K, state]`` of a recurrent model.
        no_action: ``[K, *action]`` zeros of the kind that actions are.
        begins: ``[K]`` whose next step is the first of an episode.
        log: the actions, if they are kept.
    """

    def __init__(
        self,
        envs: Environments,
        model: ActorCritic,
        begin_episode: BeginEpisode,
        device: torch.device | str = "cpu",
        keep_actions: bool = False,
    ) -> None:
        k, family = envs.num_envs, model.family
        action = family.sample(torch.zeros(family.parameters_size), torch.zeros(family.noise_size))
        self._envs = envs
        self._begin_episode = begin_episode
        self.in_episode = np.zeros(k, np.bool_)
        self.length = np.zeros(k, np.int64)
        self.return_ = np.zeros(k, np.float64)
        self.begins = np.zeros(k, np.bool_)
        self.someone_begins = False
        self.memory = torch.zeros(k, model.state_size, device=device)
        self.no_action = np.zeros((k, *action.shape), np.int64 if action.dtype == torch.int64 else np.float32)
        # What can be written down and put back needs no replay.
        self._states: NDArray[np.float64] | None = getattr(envs, "state", None)
        self.log = ActionLog(k) if keep_actions and self._states is None else None
        self._seed = [0] * k

    def begin(self, k: int) -> bool:
        """Reset worker k's environment for a new episode; false if there is none to be had now."""
        seed = self.enter(k)
        if seed is None:
            return False
        self._envs.reset(k, seed)
        return True

    def enter(self, k: int) -> int | None:
        """Enter a new episode of worker k in the books; the seed that its environment is to be reset with, or ``None``."""
        seed = self._begin_episode(k)
        if seed is not None:
            self._seed[k] = seed
            self.length[k] = 0
            self.return_[k] = 0.0
            self.in_episode[k] = True
            self.begins[k] = self.someone_begins = True
        return seed

    def end(self, k: int, t: int, terminated: bool) -> EndedEpisode:
        """Worker k's episode ended with step t of this window."""
        self.in_episode[k] = False
        if self.log is not None:
            self.log.ended(k, t)
        end: EpisodeEnd = "terminated" if terminated else "truncated"
        return EndedEpisode(k, float(self.return_[k]), int(self.length[k]), end, self._seed[k])

    def cut(self, k: int) -> EndedEpisode | None:
        """End worker k's episode between two windows, as a time limit would; ``None`` if it is within none.

        Its last window is bootstrapped already: whatever a window cuts off, it values with V of what follows.
        """
        if not self.in_episode[k]:
            return None
        self._envs.observation[k] = 0.0
        return self.end(k, -1, terminated=False)

    def save(self, k: int) -> EpisodeState:
        """Where a worker stands; only between two windows, and only with ``keep_actions``."""
        assert self.log is not None or self._states is not None, "episodes whose actions are not kept cannot be come back to"
        return EpisodeState(
            in_episode=bool(self.in_episode[k]),
            seed=self._seed[k],
            length=int(self.length[k]),
            return_=float(self.return_[k]),
            observation=torch.from_numpy(self._envs.observation[k].copy()),
            memory=self.memory[k].cpu().clone(),
            actions=torch.from_numpy(self.no_action[:0] if self.log is None else self.log.of(k, like=self.no_action)),
            environment=None if self._states is None else torch.from_numpy(self._states[k].copy()),
        )

    def restore(self, states: Sequence[EpisodeState]) -> list[int]:
        """Bring all K workers back to where they stood: by the environments' states, or by replaying each episode's actions
        from its seed.

        Returns:
            The workers whose environment did not come to the observation that was saved: they will begin a new episode.
        """
        envs, within = self._envs, [k for k, state in enumerate(states) if state.in_episode]
        for k in within:
            envs.reset(k, states[k].seed)
        replayed = [state.in_episode and state.environment is None for state in states]
        lengths = np.array([state.length if again else 0 for state, again in zip(states, replayed, strict=True)])
        actions = self.no_action.copy()
        for t in range(int(lengths.max(initial=0))):
            live = lengths > t
            for k in live.nonzero()[0].tolist():
                actions[k] = states[k].actions[t].numpy()
            envs.step(actions, live)
        envs.terminated[:] = False
        envs.truncated[:] = False
        for k in within:
            environment = states[k].environment
            if environment is not None and self._states is not None:
                self._states[k] = environment.numpy()
                envs.observation[k] = states[k].observation.numpy()
        astray = [k for k in within if not states[k].matches(torch.from_numpy(envs.observation[k]))]
        for k in within:
            if k in astray:
                envs.observation[k] = 0.0
                continue
            state = states[k]
            self.in_episode[k] = True
            self._seed[k], self.length[k], self.return_[k] = state.seed, state.length, state.return_
            self.memory[k] = state.memory.to(self.memory.device)
            if self.log is not None:
                self.log.restore(k, state.actions.numpy())
        return astray
