"""A3C and A2C written down a second time, as naively as can be: what the package computes is measured against this.

One module a worker, Python loops over steps, gymnasium's own time limit, torch's own distributions, autograd and optimisers. A
window is lived at the moment of its push, from the weights that were pulled for it: there is nothing to stack, to mask, to
reserve or to keep waiting. Shared with the package are the networks, the streams of luck and the plain values of a ``TrainingSetup``.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed, random_stream
from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.config.enums import LRSchedule, Reduction, ValueLoss
from a3c_exp.models.base import ActorCritic
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule
from a3c_exp.parallelism.deterministic.worker_schedule import WorkerSchedule

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
ROUNDS_OF_NOISE = 64


@dataclass(frozen=True)
class NaiveEpisode:
    """A finished episode, and where the training stood."""

    worker: int
    return_: float
    length: int
    end: str
    env_seed: int
    env_step: int
    update: int


@dataclass
class Step:
    observation: Tensor
    action: Tensor
    reward: float
    terminated: bool
    truncated: bool
    next_value: float
    first: bool


class NaiveWorker:
    """One actor-learner with its own environment and its own module."""

    def __init__(self, task: TrainingSetup, env_id: str, number: int, model: ActorCritic) -> None:
        self.task, self.spec, self.number, self.model = task, task.learner, number, model
        self.env: gymnasium.Env[Any, Any] = gymnasium.make(env_id, max_episode_steps=task.max_episode_steps)
        self.rounds = self.episodes_begun = 0
        self.observation: Tensor | None = None
        self.memory = torch.zeros(model.hidden_state_size)
        self.ended: list[tuple[float, int, str, int]] = []

    def begin(self) -> None:
        self.seed = env_seed(self.task.seed, self.number, self.episodes_begun)
        self.episodes_begun += 1
        self.return_, self.length = 0.0, 0
        self.memory = torch.zeros(self.model.hidden_state_size)
        self.observation = torch.tensor(self.env.reset(seed=self.seed)[0], dtype=torch.float32)

    def noise(self) -> Tensor:
        block, row = divmod(self.rounds, ROUNDS_OF_NOISE)
        self.rounds += 1
        generator = random_stream(self.task.seed, StreamPurpose.action, self.number, block)
        shape = (ROUNDS_OF_NOISE, self.spec.n_step, self.model.distribution.noise_size)
        normal = isinstance(self.env.action_space, Box)
        draw = generator.standard_normal if normal else generator.random
        return torch.from_numpy(draw(shape, dtype=np.float32)[row])

    def live(self) -> tuple[list[Step], Tensor]:
        """One window with the weights of ``self.model``; and the memory at its start."""
        noise, memory_at_start, steps = self.noise(), self.memory.clone(), []
        for t in range(self.spec.n_step):
            first = self.observation is None
            if first:
                self.begin()
            assert self.observation is not None
            with torch.no_grad():
                output = self.model(self.observation, self.memory)
            self.memory = output.hidden_state
            policy = distribution(output.parameters, self.env.action_space)
            if isinstance(self.env.action_space, Box):
                action = policy.mean + policy.stddev * noise[t]
                low, high = self.env.action_space.low, self.env.action_space.high
                done = self.env.step(np.clip(action.numpy(), low, high))
            else:
                likely = torch.cumsum(policy.probs, -1)
                action = torch.tensor(min(int((likely <= noise[t]).sum()), len(likely) - 1))
                done = self.env.step(int(action))
            observed, reward, terminated, truncated = done[0], float(done[1]), done[2], done[3]
            self.return_ += reward
            self.length += 1
            before, self.observation = self.observation, torch.tensor(observed, dtype=torch.float32)
            next_value = float("nan")  # which must not be looked at
            if not terminated and (truncated or t == self.spec.n_step - 1):
                with torch.no_grad():
                    next_value = float(self.model(self.observation, self.memory).value)
            learned = (reward + self.spec.reward_shift) / self.spec.reward_scale
            if self.spec.reward_clip is not None:
                learned = max(-self.spec.reward_clip, min(self.spec.reward_clip, learned))
            steps.append(Step(before, action, learned, terminated, truncated, next_value, first))
            if terminated or truncated:
                self.ended.append((self.return_, self.length, "terminated" if terminated else "truncated", self.seed))
                self.observation = None
                if self.spec.window_ends_with_episode:
                    break
        return steps, memory_at_start

    def take_ended(self) -> list[tuple[float, int, str, int]]:
        ended, self.ended = self.ended, []
        return ended


def distribution(parameters: Tensor, space: gymnasium.Space[Any]) -> Any:
    if isinstance(space, Box):
        mean, std = parameters.chunk(2, -1)
        return Independent(Normal(mean, std), 1)
    return Categorical(logits=parameters)


def targets(steps: Sequence[Step], spec: LearnerConfig) -> list[float]:
    """Each step's n-step return, summed forwards from the definition."""
    found = []
    for i in range(len(steps)):
        total, discount = 0.0, 1.0
        for step in steps[i:]:
            total += discount * step.reward
            discount *= spec.gamma
            is_end = step.terminated or (step.truncated and not spec.bootstrap_on_truncation)
            if is_end:
                break
            if step.truncated or step is steps[-1]:
                total += discount * step.next_value
                break
        found.append(total)
    return found


def terms(
    worker: NaiveWorker, model: ActorCritic, steps: Sequence[Step], memory: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Policy term, value term and entropy of each step, with back-propagation through the window's time."""
    spec, found = worker.spec, []
    for step, target in zip(steps, targets(steps, spec), strict=True):
        if step.first:
            memory = torch.zeros_like(memory)
        output = model(step.observation, memory)
        memory = output.hidden_state
        policy = distribution(output.parameters, worker.env.action_space)
        error = target - output.value
        huber = torch.where(error.abs() < 1, 0.5 * error**2, error.abs() - 0.5)
        value = error**2 if spec.loss.value_loss is ValueLoss.mse else huber
        found.append((-policy.log_prob(step.action) * error.detach(), value, policy.entropy()))
    return found


def loss_of(windows: Sequence[tuple[float, list[tuple[Tensor, Tensor, Tensor]]]], spec: LearnerConfig) -> Tensor:
    """The loss of windows that make one update, each with its own entropy coefficient."""
    how = spec.loss
    steps = sum(len(window) for _, window in windows)

    def share(reduction: Reduction) -> float:
        return 1.0 / steps if reduction is Reduction.mean else 1.0 / len(windows)

    total = torch.zeros(())
    for coefficient, window in windows:
        for policy, value, entropy in window:
            total = total + share(how.policy_reduction) * policy
            total = total + share(how.value_reduction) * how.value_coef * value
            total = total - share(how.entropy_reduction) * coefficient * entropy
    return total


class Naive:
    """What both have in common: the global module, its optimiser, and a diary.

    Attributes:
        weights: ``[P]`` after each update, the initial ones first.
        episodes: all that ended in windows that were pushed.
        lags: of each push.
    """

    def __init__(self, task: TrainingSetup, env_id: str, make_optimizer: MakeOptimizer) -> None:
        self.task = task
        with gymnasium.make(env_id) as env:
            self.model: ActorCritic = task.make_model(env.observation_space, env.action_space, seed=task.seed)
        self.optimizer = make_optimizer(self.model.parameters())
        self.workers = [NaiveWorker(task, env_id, number, copy.deepcopy(self.model)) for number in range(task.workers)]
        self.weights = [self.flat()]
        self.episodes: list[NaiveEpisode] = []
        self.lags: list[int] = []
        self.env_steps = 0

    def flat(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])

    def used_up(self) -> float:
        budget = self.task.budget
        done = (self.env_steps, budget.max_env_steps), (len(self.episodes), budget.max_episodes)
        done += ((len(self.weights) - 1, budget.max_updates),)
        return max(amount / limit for amount, limit in done if limit is not None)

    def push(self, learner: ActorCritic, loss: Tensor, lr: float, lived: Sequence[tuple[NaiveWorker, int]]) -> None:
        """Differentiate at the learner's weights, clip, and let the shared optimiser step the global module."""
        learner.zero_grad(set_to_none=True)
        loss.backward()
        if self.task.learner.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(learner.parameters(), self.task.learner.max_grad_norm)
        gradients = [parameter.grad for parameter in learner.parameters()]
        for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
            assert gradient is not None
            parameter.grad = gradient.clone()
        if self.task.per_worker.lr_schedule is LRSchedule.linear:
            lr *= 1.0 - self.used_up()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.weights.append(self.flat())
        self.env_steps += sum(steps for _, steps in lived)
        for worker, _ in lived:
            for return_, length, end, seed in worker.take_ended():
                place = self.env_steps, len(self.weights) - 1
                self.episodes.append(NaiveEpisode(worker.number, return_, length, end, seed, *place))


class NaiveA3C(Naive):
    """Asynchronous in virtual time: whose turn it is pushes what it lived since it pulled, and pulls."""

    def __init__(
        self,
        task: TrainingSetup,
        env_id: str,
        make_optimizer: MakeOptimizer,
        turns: WorkerSchedule,
        lag: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(task, env_id, make_optimizer)
        self.turns, self.lag = turns, LagSchedule(lag)
        self.pulled_at = [0] * task.workers
        self.versions = [copy.deepcopy(self.model.state_dict())]

    def update(self) -> None:
        worker, number = self.workers[self.turns.pop()], len(self.weights) - 1
        if self.lag.is_set:
            version = max(0, number - self.lag.lag_at(self.task.seed, number))
            worker.model.load_state_dict(self.versions[version])
            self.pulled_at[worker.number] = version
        steps, memory = worker.live()
        coefficient = self.task.entropy_coef(self.task.seed, worker.number)
        loss = loss_of([(coefficient, terms(worker, worker.model, steps, memory))], self.task.learner)
        self.lags.append(number - self.pulled_at[worker.number])
        self.push(worker.model, loss, self.task.lr(self.task.seed, worker.number), [(worker, len(steps))])
        self.versions.append(copy.deepcopy(self.model.state_dict()))
        worker.model.load_state_dict(self.model.state_dict())
        self.pulled_at[worker.number] = number + 1


class NaiveA2C(Naive):
    """Synchronous: all live a window with the same weights, and one update learns from all."""

    def update(self) -> None:
        windows, lived = [], []
        for worker in self.workers:
            worker.model.load_state_dict(self.model.state_dict())
            steps, memory = worker.live()
            coefficient = self.task.entropy_coef(self.task.seed, worker.number)
            windows.append((coefficient, terms(worker, self.model, steps, memory)))
            lived.append((worker, len(steps)))
        self.lags.append(0)
        self.push(self.model, loss_of(windows, self.task.learner), self.task.lr(self.task.seed, 0), lived)
