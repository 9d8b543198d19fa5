"""A3C in plain torch, to be read from top to bottom: Mnih et al. 2016 (arXiv:1602.01783), Algorithm S3.

Each worker has an environment and a copy of the network. Asynchrony is the order in which ``update`` is called: between a
worker's pull and its next push, others have changed the shared weights. The tests hold every parallelism to this file.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import Env, Space, spaces
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal
from torch.optim import Optimizer

from a3c_exp.algorithm.random_streams import env_seed, window_noise
from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.config.enums import Reduction, ValueLoss
from a3c_exp.models.base import ActorCritic


class Step(NamedTuple):
    observation: Tensor
    action: Tensor
    reward: float  # shifted, scaled and clipped
    terminated: bool
    truncated: bool
    next_value: float  # V of the next observation, before any reset
    episode_start: bool


class Worker:
    """An actor-learner with its own environment, its own copy of the network, and its own random numbers."""

    def __init__(self, index: int, env: Env[Any, Any], model: ActorCritic, config: LearnerConfig, seed: int) -> None:
        self.index, self.env, self.model, self.config, self.seed = index, env, model, config, seed
        self.entropy_coef, self.max_grad_norm = config.loss.entropy_coef, config.max_grad_norm or float("inf")  # since the pull
        self.pulled_at, self.windows, self.episodes_begun, self.hidden_state = 0, 0, 0, torch.zeros(model.hidden_state_size)
        self.observation: Any = None  # None: the next step begins an episode
        self.return_, self.length, self.finished_episodes = 0.0, 0, list[tuple[float, int, bool, int]]()

    @torch.no_grad()
    def act(self) -> list[Step]:
        config, steps = self.config, list[Step]()
        noise = torch.from_numpy(window_noise(self.model.distribution, config.n_step, self.seed, self.index, self.windows))
        self.windows, self.window_hidden_state = self.windows + 1, self.hidden_state
        for t in range(config.n_step):
            if begins := self.observation is None:
                self.env_seed = env_seed(self.seed, self.index, self.episodes_begun)
                self.episodes_begun += 1
                self.return_, self.length, self.hidden_state = 0.0, 0, torch.zeros_like(self.hidden_state)
                self.observation = torch.tensor(self.env.reset(seed=self.env_seed)[0], dtype=torch.float32)
            observation = self.observation
            parameters, _, self.hidden_state = self.model(observation, self.hidden_state)
            action, env_action = sample(parameters, self.env.action_space, noise[t])
            next_observation, reward, terminated, truncated, _ = self.env.step(env_action)
            self.observation = torch.tensor(next_observation, dtype=torch.float32)
            self.return_, self.length = self.return_ + float(reward), self.length + 1
            next_value = float(self.model(self.observation, self.hidden_state).value)
            learned, clip = (float(reward) + config.reward_shift) / config.reward_scale, config.reward_clip or float("inf")
            learned = max(-clip, min(clip, learned))  # the reward that is learned from; returns and logs keep the raw one
            steps.append(Step(observation, action, learned, terminated, truncated, next_value, begins))
            if terminated or truncated:
                self.finished_episodes.append((self.return_, self.length, terminated, self.env_seed))
                self.observation = None
                if config.window_ends_with_episode:
                    break
        return steps

    def replay(self, model: ActorCritic, steps: list[Step]) -> Tensor:
        """Of each step ``[n, 4]``: log pi(a|s), entropy bonus, V(s), target; gradients flow back through the window's time."""
        terms, hidden_state = [], self.window_hidden_state
        for step, target in zip(steps, n_step_returns(steps, self.config), strict=True):
            parameters, value, hidden_state = model(step.observation, hidden_state * (not step.episode_start))
            policy = distribution(parameters, self.env.action_space)
            terms.append(torch.stack([policy.log_prob(step.action), self.entropy_coef * policy.entropy(), value, target]))
        return torch.stack(terms)


def distribution(parameters: Tensor, space: Space[Any]) -> Any:
    """The policy: a Gaussian over a Box of actions, else a categorical distribution."""
    mean_and_std: Any = parameters.chunk(2, -1)
    return Independent(Normal(*mean_and_std), 1) if isinstance(space, spaces.Box) else Categorical(logits=parameters)


def sample(parameters: Tensor, space: Space[Any], noise: Tensor) -> tuple[Tensor, Any]:
    """An action, and what the environment gets: it alone sees a Box's action clipped to its bounds."""
    policy = distribution(parameters, space)
    if isinstance(space, spaces.Box):
        action = policy.mean + policy.stddev * noise
        return action, np.clip(action.numpy(), space.low, space.high)
    action = (policy.probs.cumsum(-1) <= noise).sum().clamp(max=len(policy.probs) - 1)
    return action, int(action)


def n_step_returns(steps: list[Step], config: LearnerConfig) -> Tensor:
    """``R_t = r_t + gamma X_t``: X_t is 0 if terminal, V(s_{t+1}) at a truncation and the window's end, else R_{t+1}, or for
    generalized advantage estimation (lambda < 1) ``(1 - lambda) V(s_{t+1}) + lambda R_{t+1}``."""
    returns: list[float] = []
    for step in reversed(steps):
        terminal = step.terminated or (step.truncated and not config.bootstrap_on_truncation)
        share = 0.0 if step.truncated or not returns else config.gae_lambda
        following = (1 - share) * step.next_value + (share * returns[-1] if share else 0.0)
        returns.append(step.reward + (0.0 if terminal else config.gamma * following))
    return torch.tensor(returns[::-1])


class A3C:
    """Workers, each with an environment, around one shared network ``model`` and one shared optimizer of its parameters."""

    def __init__(self, envs: list[Any], model: ActorCritic, optimizer: Optimizer, config: LearnerConfig, seed: int) -> None:
        self.model, self.optimizer, self.config, self.updates, self.env_steps = model, optimizer, config, 0, 0
        self.workers = [Worker(index, env, copy.deepcopy(model), config, seed) for index, env in enumerate(envs)]

    def update(self, index: int) -> None:
        """A3C: one worker acts with its own weights, pushes its gradient, and pulls the shared weights."""
        worker = self.workers[index]
        self.push(worker.model, [(worker, worker.act())])
        self.pull(worker)

    def synchronous_update(self) -> None:
        """A2C: all workers act with the same weights, and one update learns from all of their windows."""
        for worker in self.workers:
            self.pull(worker)
        self.push(self.model, [(worker, worker.act()) for worker in self.workers])

    def push(self, learner: ActorCritic, windows: list[tuple[Worker, list[Step]]]) -> None:
        """The loss's gradient at the learner's weights, applied to the shared weights by the shared optimizer."""
        loss, num_steps = self.config.loss, sum(len(steps) for _, steps in windows)
        log_prob, bonus, value, target = torch.cat([worker.replay(learner, steps) for worker, steps in windows]).unbind(1)
        advantage = (target - value).detach()  # the policy's term must not train the value
        if loss.normalize_advantage and num_steps > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        value_loss = nn.functional.mse_loss if loss.value_loss is ValueLoss.mse else nn.functional.huber_loss
        divisors = {Reduction.mean: num_steps, Reduction.sum: len(windows)}
        total: Any = (-log_prob * advantage).sum() / divisors[loss.policy_reduction]
        total += loss.value_coef * value_loss(value, target, reduction="none").sum() / divisors[loss.value_reduction]
        total -= bonus.sum() / divisors[loss.entropy_reduction]
        learner.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), windows[0][0].max_grad_norm)
        for shared, own in zip(self.model.parameters(), learner.parameters(), strict=True):
            shared.grad = own.grad
        self.optimizer.step()
        self.updates, self.env_steps = self.updates + 1, self.env_steps + num_steps

    def pull(self, worker: Worker) -> None:
        worker.model.load_state_dict(self.model.state_dict())
        worker.pulled_at = self.updates
