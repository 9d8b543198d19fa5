"""A rollout over scripted environments in which every number is known beforehand, and what its windows should hold."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.returns import n_step_returns
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.distributions import Categorical
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from tests.support.scripted import End, ScriptedEnvironments, scripted_reward

GAMMA = 0.5


class Reader(ActorCritic):
    """Its value is ``scale (100 seed + t)`` in scripted environments, so a value says which observation it is of."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.distribution = Categorical(3)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.logits = nn.Parameter(torch.zeros(3))

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        value = self.scale * (100.0 * observation[..., 0] + observation[..., 1])
        return PolicyValue(self.logits + 0.0 * observation[..., :1], value, hidden_state)


def value_of(seed: int, t: int, scale: float = 1.0) -> float:
    return scale * (100.0 * seed + t)


class StepCounter(ActorCritic):
    """Its recurrent state and its value are how many observations it has been shown since the state was reset."""

    hidden_state_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.distribution = Categorical(3)
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        hidden_state = hidden_state + self.one
        return PolicyValue(0.0 * hidden_state + torch.zeros(3), hidden_state.squeeze(-1), hidden_state)


class Bench:
    """A rollout over scripted environments, with the seeds that each worker's episodes are given."""

    def __init__(
        self,
        n: int = 4,
        seeds: Sequence[Sequence[int | None]] = ((1, 2, 3, 4, 5, 6, 7, 8, 9),),
        ends: dict[int, End] | None = None,
        limit: int | None = None,
        model: ActorCritic | None = None,
        weights: Tensor | None = None,
        nan_when_terminated: bool = False,
        pay: Callable[[int, int], float] = scripted_reward,
        lives: dict[int, Sequence[int]] | None = None,
        **spec: float | bool,
    ) -> None:
        self.k, self.n = len(seeds), n
        self.envs = ScriptedEnvironments(self.k, ends, nan_when_terminated, pay=pay, lives=lives)
        self.model = model or Reader()
        self.layout = ParameterLayout.from_module(self.model)
        self.weights = self.layout.flatten(self.model).repeat(self.k, 1) if weights is None else weights
        self.asked = [0] * self.k
        self._seeds = [iter(some) for some in seeds]
        self.episodes = EpisodeTracker(self.envs, self.model, self._begin)
        learner = LearnerConfig(n_step=n, **spec)
        self.rollout = Rollout(self.model, self.layout, self.weights, self.envs, self.episodes, learner, limit)

    def _begin(self, k: int) -> int | None:
        self.asked[k] += 1
        return next(self._seeds[k], None)

    def run(self, *allowed: int, noise: NDArray[np.float32] | None = None) -> tuple[Window, list[EndedEpisode]]:
        """One window; its tensors are copied, since the next one overwrites them."""
        if noise is None:
            noise = np.full((self.k, self.n, self.model.distribution.noise_size), 0.5, np.float32)
        window, ended = self.rollout.run(np.array(allowed or [self.n] * self.k), noise)
        return Window(*(field.clone() for field in window)), ended


def steps(window: Window, k: int = 0) -> list[tuple[int, int]]:
    """The ``(seed, t)`` that worker k observed at its valid steps."""
    return [(int(seed), int(t)) for seed, t in window.observation[k][window.valid[k] > 0].tolist()]


def targets(window: Window, k: int = 0) -> list[float]:
    returns = n_step_returns(window.reward[k], window.terminated[k], window.trajectory_end[k], window.next_value[k], GAMMA)
    return returns[window.valid[k] > 0].tolist()


def paid(*rewards: float, beyond: float = 0.0) -> float:
    """Discounted rewards of one chain and what lies beyond."""
    return sum(GAMMA**i * reward for i, reward in enumerate(rewards)) + GAMMA ** len(rewards) * beyond


R = scripted_reward
ENDS_WITH_EPISODE, ROLLS_THROUGH = {"window_ends_with_episode": True}, {"window_ends_with_episode": False}
