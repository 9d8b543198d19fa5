"""Evaluation of weights on environments of their own, with seeds that training never sees."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed, random_stream
from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.compile.vectorize import VectorizedFunction, vectorize
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.distributions import draw_noise
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.stats.estimates import bootstrap_interval
from a3c_exp.system.errors import ConfigError

MAX_PARALLEL_EPISODES = 50
"""Episodes side by side, at most, where nothing else runs."""


@dataclass(frozen=True)
class EvaluatorConfig:
    """How weights are judged.

    Attributes:
        episodes: how many, at least 1.
        deterministic: take the policy's mode instead of a sample.
        max_episode_steps: time limit; ``None`` takes the task's own.
    """

    episodes: int = 10
    deterministic: bool = True
    max_episode_steps: int | None = None

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"evaluation.episodes is {self.episodes}, but it is at least 1. Try evaluation.episodes=10")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ConfigError(f"evaluation.max_episode_steps is {self.max_episode_steps}, but it is at least 1, or null")


@dataclass(frozen=True)
class PolicyStep:
    """What the network saw and said before one step of the first environment.

    Attributes:
        observation: ``[*observation]``.
        hidden_state: ``[state_size]``, the recurrent state that it came with.
        output: what the network said, without a batch axis.
        action: as the policy gave it, before the environment clips it.
        weights: of the network, by name.
    """

    observation: Tensor
    hidden_state: Tensor
    output: PolicyValue
    action: Tensor
    weights: Mapping[str, Tensor]


class EpisodeObserver(Protocol):
    """Looks on while the first environment's episodes are lived; changes nothing."""

    def before_step(self, policy_step: PolicyStep) -> None:
        """The action is known and not yet taken."""

    def after_step(self, reward: float) -> None:
        """It was taken."""


class Evaluator:
    """Lives a fixed set of held-out episodes with given weights, several side by side.

    The same seeds every time, so that two evaluations differ by their weights and not by their luck.

    Args:
        model, layout: the network.
        envs: as many environments as should run side by side.
        config: how weights are judged.
        seed: root of the held-out seeds; their stream is another than any worker's.
        between_steps: called before every step; may raise to break off.
        observer: sees every step of the first environment.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        envs: EnvBatch,
        config: EvaluatorConfig,
        seed: int,
        between_steps: Callable[[], None] = lambda: None,
        observer: EpisodeObserver | None = None,
    ) -> None:
        limit = config.max_episode_steps or envs.default_max_episode_steps
        if limit is None:
            raise ConfigError(
                "this task has no time limit of its own, so an evaluation might never end. "
                "Try evaluation.max_episode_steps=1000"
            )
        self._model, self._layout, self._envs, self._config, self._seed = model, layout, envs, config, seed
        self._max_episode_steps = limit
        self._between_steps = between_steps
        self._observer = observer
        self._policy = _Policy(model, layout, config.deterministic)

    def for_seed(self, seed: int) -> "Evaluator":
        """One for other held-out seeds, in the same environments."""
        other = copy(self)
        other._seed = seed
        return other

    def evaluate(self, weights: Tensor, env_step: int, update: int, wall_time: float) -> EvaluationRecord:
        """Live all episodes with ``weights [P]``; the other numbers say where training stood."""
        returns: list[float] = []
        lengths: list[int] = []
        while len(returns) < self._config.episodes:
            first = len(returns)
            count = min(self._envs.num_envs, self._config.episodes - first)
            some_returns, some_lengths = self._run_episodes(weights, first, count)
            returns += some_returns.tolist()
            lengths += some_lengths.tolist()
        low, high = bootstrap_interval(np.array(returns))
        return EvaluationRecord(
            env_step=env_step,
            update=update,
            wall_time=wall_time,
            episodes=len(returns),
            deterministic=self._config.deterministic,
            mean=float(np.mean(returns)),
            std=float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0,
            median=float(np.median(returns)),
            ci_low=low,
            ci_high=high,
            min=float(np.min(returns)),
            max=float(np.max(returns)),
            mean_length=float(np.mean(lengths)),
            returns=returns,
        )

    def _run_episodes(self, weights: Tensor, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns and lengths of the episodes ``first`` to ``first + count - 1``."""
        envs = self._envs
        live = np.zeros(envs.num_envs, np.bool_)
        live[:count] = True
        noise = [random_stream(self._seed, StreamPurpose.evaluation_action, first + i) for i in range(count)]
        for i in range(count):
            envs.reset(i, env_seed(self._seed, 0, first + i, StreamPurpose.evaluation))
        parameters = self._layout.unflatten(weights)
        state = torch.zeros(envs.num_envs, self._model.hidden_state_size, device=weights.device)
        unwatched = self._observer is None and self._model.stackable and self._model.hidden_state_size == 0
        if unwatched:
            self._policy.load_weights(weights, torch.from_numpy(envs.observation))
        returns, lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs, np.int64)
        while live.any():
            self._between_steps()
            observation = torch.from_numpy(envs.observation).to(weights.device)
            drawn = self._draw_noise(noise).to(weights.device)
            if unwatched:
                action = self._policy.act(observation, drawn)
            else:
                with torch.inference_mode():
                    output = functional_forward(self._model, parameters, observation, state)
                    action = self._policy.select_action(output, drawn)
                if self._observer is not None and live[0]:
                    self._observer.before_step(_policy_step(observation, state, output, action, parameters))
                state = output.hidden_state
            ended = envs.step(action.cpu().numpy(), live)
            if self._observer is not None and live[0]:
                self._observer.after_step(float(envs.reward[0]))
            returns += envs.reward * live
            lengths += live
            live = live & (lengths < self._max_episode_steps)
            if ended:
                live = live & ~(envs.terminated | envs.truncated)
                envs.terminated[:] = False
                envs.truncated[:] = False
        return returns[:count], lengths[:count]

    def _draw_noise(self, noise: Sequence[np.random.Generator]) -> Tensor:
        """``[E, noise]`` of the coming step; zeros that nobody looks at where the policy's mode is taken."""
        family = self._model.distribution
        drawn = np.zeros((self._envs.num_envs, family.noise_size), np.float32)
        if not self._config.deterministic:
            for i, generator in enumerate(noise):
                drawn[i] = draw_noise(family, generator, (), dtype=np.float64)
        return torch.from_numpy(drawn)


class _Policy:
    """The network in all environments at once, taped: a small one costs more in Python than in arithmetic.

    Args:
        model, layout: the network, without a memory where ``load_weights`` and ``act`` are called.
        deterministic: take the policy's mode instead of a sample.
    """

    def __init__(self, model: ActorCritic, layout: ParameterLayout, deterministic: bool) -> None:
        self._model, self._layout, self._deterministic = model, layout, deterministic
        self._weights: Tensor | None = None
        self._vectorized: VectorizedFunction | None = None

    def select_action(self, output: PolicyValue, noise: Tensor) -> Tensor:
        """The action ``[..., *action]`` that follows from what the network said."""
        family = self._model.distribution
        return family.mode(output.parameters) if self._deterministic else family.sample(output.parameters, noise)

    def load_weights(self, weights: Tensor, observation: Tensor) -> None:
        """Go on with these ``weights [P]``; ``observation [E, ...]`` is one such as will come."""
        if self._weights is None:
            self._weights = torch.empty_like(weights).unsqueeze(0)
        self._weights.copy_(weights)
        if self._vectorized is None:
            noise = torch.zeros(1, len(observation), self._model.distribution.noise_size, device=weights.device)
            examples = (observation.to(weights.device).unsqueeze(0), noise)
            self._vectorized = vectorize(self._act, self._weights, examples, self._model.stackable)

    def _act(self, flat: Tensor, observation: Tensor, noise: Tensor) -> tuple[Tensor]:
        none = observation.new_zeros(len(observation), 0)
        return (self.select_action(functional_forward(self._model, self._layout.unflatten(flat), observation, none), noise),)

    def act(self, observation: Tensor, noise: Tensor) -> Tensor:
        """The actions ``[E, *action]`` for ``observation [E, ...]``."""
        assert self._vectorized is not None, "take weights first"
        return self._vectorized(observation.unsqueeze(0), noise.unsqueeze(0))[0].squeeze(0)


def _policy_step(
    observation: Tensor, hidden_state: Tensor, output: PolicyValue, action: Tensor, weights: Mapping[str, Tensor]
) -> PolicyStep:
    """The first environment's, as tensors that gradients may be taken of."""
    first = PolicyValue(*(part[0].clone() for part in output))
    return PolicyStep(observation[0].clone(), hidden_state[0].clone(), first, action[0].clone(), weights)
