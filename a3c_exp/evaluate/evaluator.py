"""Evaluation of weights on environments of their own, with seeds that training never sees."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import BatchedPolicy
from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed, random_stream
from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic, PolicyValue, network_input
from a3c_exp.models.distributions import draw_noise
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.stats.estimates import bootstrap_interval
from a3c_exp.system.errors import ConfigError, EnvInterfaceError

LONGEST_EPISODE = 100_000
"""Steps of an evaluation episode, at most, of an environment that declares no time limit; it may end episodes by itself."""
MAX_PARALLEL_EPISODES = 50
"""At most so many episodes run side by side where nothing else does."""


@dataclass(frozen=True)
class EvaluatorConfig:
    """How weights are evaluated."""

    episodes: int = 10
    deterministic: bool = True  # take the policy's mode instead of a sample
    max_episode_steps: int | None = None  # ``None``: the environment's own

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"evaluation.episodes is {self.episodes}, but it is at least 1. Try evaluation.episodes=10")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ConfigError(
                f"evaluation.max_episode_steps is {self.max_episode_steps}, but it is at least 1, or null. "
                "Try evaluation.max_episode_steps=200"
            )


@dataclass(frozen=True)
class PolicyStep:
    """Input and output of the network, with its weights by name, before one step of the first environment: without a batch
    axis, the recurrent state from before the step, the action as the policy chose it, before the environment clips it."""

    observation: Tensor
    hidden_state: Tensor
    output: PolicyValue
    action: Tensor
    weights: Mapping[str, Tensor]


class EpisodeObserver(Protocol):
    """Sees every step of the first environment's episodes; changes nothing."""

    def before_step(self, policy_step: PolicyStep) -> None:
        """The action is chosen, but not taken yet."""

    def after_step(self, reward: float) -> None:
        """The action was taken."""


@dataclass(eq=False)
class Evaluator:
    """Runs a fixed set of held-out episodes with given weights, several side by side, by the policy that training acts with.

    The seeds are the same every time, so that two evaluations differ only by their weights.
    """

    model: ActorCritic
    layout: ParameterLayout
    envs: EnvBatch  # as many environments as should run side by side
    config: EvaluatorConfig  # how weights are evaluated
    seed: int  # root of the held-out seeds; their stream is another than any worker's
    between_steps: Callable[[], None] = lambda: None  # called before every step; may raise to stop the evaluation
    observer: EpisodeObserver | None = None  # sees every step of the first environment

    def __post_init__(self) -> None:
        self._max_episode_steps = self.config.max_episode_steps or self.envs.default_max_episode_steps or LONGEST_EPISODE
        self._policy: tuple[BatchedPolicy, Tensor] | None = None  # with the weights ``[1, P]`` that it reads

    def evaluate(self, weights: Tensor, env_step: int, update: int, wall_time: float) -> EvaluationRecord:
        """Run all episodes with ``weights [P]``; the other numbers say where training stood."""
        returns: list[float] = []
        lengths: list[int] = []
        while len(returns) < self.config.episodes:
            first = len(returns)
            count = min(self.envs.num_envs, self.config.episodes - first)
            try:
                batch_returns, batch_lengths = self._run_episodes(weights, first, count)
            except EnvInterfaceError as error:
                where = f"evaluation, episode {first + error.index + 1}"
                raise EnvInterfaceError(error.problem, error.index, where, error.step) from error
            returns += batch_returns.tolist()
            lengths += batch_lengths.tolist()
        low, high = bootstrap_interval(np.array(returns))
        return EvaluationRecord(
            env_step=env_step,
            update=update,
            wall_time=wall_time,
            episodes=len(returns),
            deterministic=self.config.deterministic,
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
        """Returns and lengths ``[count]`` of the episodes ``first`` to ``first + count - 1``."""
        envs = self.envs
        active = np.arange(envs.num_envs) < count
        generators = [random_stream(self.seed, StreamPurpose.evaluation_action, first + i) for i in range(count)]
        for i in range(count):
            envs.reset(i, env_seed(self.seed, 0, first + i, StreamPurpose.evaluation))
        policy = self._policy_with(weights)
        hidden_state = torch.zeros(envs.num_envs, self.model.hidden_state_size, device=weights.device)
        returns, lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs, np.int64)
        noise = np.zeros((envs.num_envs, 1, self.model.distribution.noise_size), np.float32)
        for step in itertools.count():
            if not active.any():
                break
            self.between_steps()
            if not self.config.deterministic:  # where the policy's mode is taken, nothing looks at the noise
                self._draw_noise(noise, generators, step)
            policy.begin(noise)
            with torch.inference_mode():
                action, new_state = policy.act(0, hidden_state)
            if self.observer is not None and active[0]:
                self.observer.before_step(self._policy_step(weights, hidden_state, action))
            hidden_state = new_state
            try:
                ended = envs.step(action, active)
            except EnvInterfaceError as error:
                raise EnvInterfaceError(error.problem, error.index, step=int(lengths[error.index]) + 1) from error
            if self.observer is not None and active[0]:
                self.observer.after_step(float(envs.reward[0]))
            returns += envs.reward * active
            lengths += active
            active = active & (lengths < self._max_episode_steps)
            if ended:
                active = active & ~(envs.terminated | envs.truncated)
                envs.terminated[:] = False
                envs.truncated[:] = False
        return returns[:count], lengths[:count]

    def _policy_with(self, weights: Tensor) -> BatchedPolicy:
        """The policy that training acts with, over a copy of these ``weights [P]`` for all environments."""
        if self._policy is None:
            own, mode = weights.detach().clone().unsqueeze(0), self.config.deterministic
            policy = BatchedPolicy(self.model, self.layout, own, self.envs.observation, 1, deterministic=mode)
            self._policy = policy, own
        policy, own = self._policy
        own.copy_(weights)
        return policy

    def _draw_noise(self, noise: NDArray[np.float32], generators: Sequence[np.random.Generator], step: int) -> None:
        """Draw ``noise [E, 1, noise_size]`` of the episodes' coming step; what several steps share is drawn when it is due."""
        distribution = self.model.distribution
        own, every = noise.shape[-1] - distribution.sde_noise, distribution.sde_sample_freq
        new_sde_noise = distribution.sde_noise > 0 and (step % every == 0 if every > 0 else step == 0)
        for i, generator in enumerate(generators):
            noise[i, 0, :own] = draw_noise(distribution, generator, (), dtype=np.float64)
            if new_sde_noise:
                noise[i, 0, own:] = generator.standard_normal(distribution.sde_noise)

    def _policy_step(self, weights: Tensor, hidden_state: Tensor, action: NDArray[Any]) -> PolicyStep:
        """The first environment's, as tensors that gradients may be taken of."""
        observation = network_input(torch.from_numpy(self.envs.observation).to(weights.device))
        parameters = self.layout.unflatten(weights)
        with torch.inference_mode():
            output = functional_forward(self.model, parameters, observation, hidden_state)
        first = PolicyValue(*(part[0].clone() for part in output))
        chosen = torch.from_numpy(action)[0].clone().to(weights.device)
        return PolicyStep(observation[0].clone(), hidden_state[0].clone(), first, chosen, parameters)
