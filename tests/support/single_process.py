"""The kinds of parallelism that live in this process, driven as the trainer does: an update at a time, or to the end."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from a3c_exp.algorithm.schedules import Schedule, Schedules
from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import ScheduleKind
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, StatsEvent, TrainingSetup
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.pushing import PATIENCE


class Loose(SharedMLP):
    """Workers are not stacked: nothing is taped, so a training of a few updates costs next to nothing."""

    stackable = False


MODELS: dict[str, Callable[..., Any]] = {
    "separate": partial(SeparateMLP, actor_hidden=(8,), critic_hidden=(6,), weight_std=None),
    "shared": partial(SharedMLP, hidden=(8,), activation="tanh"),
    "wide": partial(SharedMLP, hidden=(33, 64)),
    "loose": partial(Loose, hidden=(4,)),
    "gru": partial(RecurrentMLP, hidden=(6,), hidden_size=5, activation="tanh"),
    "lstm": partial(RecurrentMLP, hidden=(6,), hidden_size=5, activation="tanh", cell="lstm"),
}
ENDLESS = Budget(max_updates=10**9)


def tiny_task(
    model: str = "shared",
    env_id: str = "CartPole-v1",
    workers: int = 3,
    budget: Budget = ENDLESS,
    max_episode_steps: int | None = 13,
    make_envs: Callable[..., EnvBatch] | None = None,
    **learner: Any,
) -> TrainingSetup:
    """A task of tiny networks; the rest is the learner's."""
    seed, num_seeds = learner.pop("seed", 0), learner.pop("num_seeds", 1)
    beside = {key: learner.pop(key) for key in ("per_worker", "schedules") if key in learner}
    normalization = learner.pop("normalization", None)
    optimizer = learner.pop("optimizer", None) or Adam(lr=1e-2)
    spec = LearnerConfig(**{"n_step": 4, **learner})
    envs = make_envs or partial(GymnasiumEnvs, env_id)
    setup = TrainingSetup(
        envs, MODELS[model], optimizer, spec, workers, budget, max_episode_steps, seed, num_seeds=num_seeds, **beside
    )
    return setup.with_normalization(normalization, envs(num_envs=1)) if normalization else setup


def beginnings(task: TrainingSetup) -> list[TrainingState]:
    """Each seed's state before the first update."""
    envs = task.make_envs(num_envs=1)
    states = []
    for seed in task.seeds:
        model, layout = task.model(envs, seed)
        states.append(TrainingState.initial(layout.flatten(model), task.optimizer.state_rows, task.workers))
    envs.close()
    return states


FALLING = Schedules(
    Schedule("lr_schedule", ScheduleKind.linear),
    Schedule("beta_schedule", ScheduleKind.cosine),
    Schedule("max_grad_norm_schedule", ((0.1, 1.0), (0.4, 0.2), (0.9, 0.6))),
)
"""A schedule of each kind, one of each hyperparameter that has one."""


class Driven:
    """A training under way.

    Attributes:
        weights: ``[P]`` after each update of the first seed, the initial ones first; only where ``step`` was called.
        events: all that was said.
    """

    def __init__(self, kind: SingleProcessStrategy, task: TrainingSetup, states: Sequence[TrainingState] | None = None) -> None:
        self.kind, self.task = kind, task
        self.events: list[Event] = list(kind.start(task, states or beginnings(task)))
        self.weights: list[Tensor] = [kind.weights()]

    def step(self, updates: int = 1) -> "Driven":
        """Make that many updates of the first seed, and look at the weights after each."""
        for _ in range(updates):
            before = self.kind.counts()
            self.events += self.kind.advance(PATIENCE, [before.env_steps + 1] * self.task.num_seeds)
            assert self.kind.counts().updates == before.updates + 1, "one update at a time"
            self.weights.append(self.kind.weights())
        return self

    def spent(self, index: int = 0) -> bool:
        counts, budget = self.kind.counts(index), self.task.budget
        return budget.fraction(counts.episodes, counts.env_steps, counts.updates) >= 1.0

    def finish(self, timeout: float = 0.1, every: int | None = None) -> "Driven":
        """Go on until the budget of every seed is spent, as the trainer does; standing still is a failure.

        With ``every``, each seed has a date at the multiples of that many environment steps, at which it is looked at.
        """
        deadline, idle = time.monotonic() + PATIENCE, 0
        while not all(self.spent(index) for index in range(self.task.num_seeds)):
            before = [self.kind.counts(index) for index in range(self.task.num_seeds)]
            began = time.monotonic()
            dates = [NEVER_DUE if every is None else (count.env_steps // every + 1) * every for count in before]
            self.events += self.kind.advance(timeout, dates)
            stood_still = before == [self.kind.counts(index) for index in range(self.task.num_seeds)]
            idle = idle + 1 if stood_still and time.monotonic() - began < timeout else 0
            assert idle < 3, f"nobody can act, but the budget is not spent: {before}"
            assert time.monotonic() < deadline, f"the end of the budget did not come: {before}"
        return self

    def save(self) -> list[TrainingState]:
        """What checkpoints of all seeds would hold."""
        states = []
        for index in range(self.task.num_seeds):
            state, events = self.kind.snapshot(index)
            self.events += events
            states.append(state)
        return states

    def stop(self) -> "Driven":
        self.events += self.kind.stop()
        return self

    def episodes(self, index: int = 0) -> list[EpisodeEvent]:
        return [event for event in self.events if isinstance(event, EpisodeEvent) and event.index == index]

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageEvent)]

    def stats(self, index: int = 0) -> TrainingStats:
        """Sums over all pushes of a seed."""
        whole = TrainingStats()
        for event in self.events:
            if isinstance(event, StatsEvent) and event.index == index:
                whole.merge(event.stats)
        return whole


ROUNDS_ALIKE = torch.backends.mkl.is_available()
"""Whether a matrix product of one shape rounds alike wherever its operands begin: MKL promises it, other libraries do not."""


def same_bits(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.view(torch.int32), other.view(torch.int32))
