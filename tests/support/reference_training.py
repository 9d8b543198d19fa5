"""The reference implementation, driven through a training setup: the order of updates, lags, learning rates, episodes."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from a3c_exp.algorithm.reference import A3C, Worker
from a3c_exp.config.enums import ScheduleKind
from a3c_exp.models.normalization import NormalizedModel
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule
from a3c_exp.parallelism.deterministic.worker_schedule import RoundRobinSchedule, WorkerSchedule

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
ADAM = partial(torch.optim.Adam, lr=1e-2)


class FinishedEpisode(NamedTuple):
    """A finished episode, and the counters of the whole training at its end."""

    worker: int
    return_: float
    length: int
    end: str
    env_seed: int
    env_step: int
    update: int


class ReferenceTraining:
    """A3C or A2C by the reference implementation.

    Attributes:
        weights: ``[P]`` after each update, the initial ones first.
        episodes: all that ended in windows that were pushed.
        lags: of each update.
        fractions: of the budget, as used up after each update, and 0 first.
        fractions_by_round: schedules of windows go by what was used when a round of all workers began, not at each one's pull.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        env_id: str,
        make_optimizer: MakeOptimizer = ADAM,
        schedule: WorkerSchedule | None = None,
        lag: int | Sequence[int] | None = None,
        algorithm: type[A3C] = A3C,
        fractions_by_round: bool = False,
    ) -> None:
        self.setup, self.fractions_by_round = setup, fractions_by_round
        self.schedule = schedule or RoundRobinSchedule(setup.seed, setup.workers, "fixed")
        self.lag = LagSchedule(lag)
        envs = [gymnasium.make(env_id, max_episode_steps=setup.max_episode_steps) for _ in range(setup.workers)]
        model = setup.make_model(envs[0].observation_space, envs[0].action_space, seed=setup.seed)
        if setup.normalization:
            model = NormalizedModel(model, envs[0].observation_space.shape or (), setup.normalization)
        self.a3c = algorithm(envs, model, make_optimizer(model.parameters()), setup.learner, setup.seed)
        for worker in self.a3c.workers:
            self._follow_schedules(worker, 0.0)
        self.fractions: list[float] = []
        self.versions: list[dict[str, Any]] = []
        self.weights: list[Tensor] = []
        self.episodes: list[FinishedEpisode] = []
        self.lags: list[int] = []
        self._record([])

    def update(self) -> None:
        """One asynchronous update, by the worker that the schedule names."""
        worker, number = self.a3c.workers[self.schedule.peek()], self.a3c.updates
        self.schedule.advance()
        if self.lag.max_lag is not None:
            version = max(0, number - self.lag.lag_at(self.setup.seed, number))
            worker.model.load_state_dict(self.versions[version])
            worker.pulled_at = version
            self._follow_schedules(worker, self.fractions[version])
        if self.fractions_by_round and number % self.setup.workers == 0:
            for each in self.a3c.workers:
                self._follow_schedules(each, self.fractions[-1])
        self.lags.append(number - worker.pulled_at)
        self._set_learning_rate(worker)
        self.a3c.update(worker.index)
        self._record([worker])
        if not self.fractions_by_round:
            self._follow_schedules(worker, self.fractions[-1])

    def synchronous_update(self) -> None:
        """One update from all workers' windows."""
        self.lags.append(0)
        for worker in self.a3c.workers:
            self._follow_schedules(worker, self.fractions[-1])
        self._set_learning_rate(self.a3c.workers[0])
        self.a3c.synchronous_update()
        self._record(self.a3c.workers)

    def _set_learning_rate(self, worker: Worker) -> None:
        factor = schedule_factor(self.setup.schedules.lr.shape, self.fractions[-1])
        for group in self.a3c.optimizer.param_groups:
            group["lr"] = factor * self.setup.lr(self.setup.seed, worker.index)

    def _follow_schedules(self, worker: Worker, fraction: float) -> None:
        """The worker has pulled weights as they were when this fraction of the budget was used up."""
        schedules, setup = self.setup.schedules, self.setup
        own = setup.entropy_coef(setup.seed, worker.index)
        worker.entropy_coef = own * schedule_factor(schedules.beta.shape, fraction)
        if setup.learner.max_grad_norm is not None:
            worker.max_grad_norm = setup.learner.max_grad_norm * schedule_factor(schedules.max_grad_norm.shape, fraction)

    def _record(self, workers: Iterable[Worker]) -> None:
        self.versions.append(copy.deepcopy(self.a3c.model.state_dict()))
        self.weights.append(torch.cat([parameter.detach().flatten() for parameter in self.a3c.model.parameters()]))
        for worker in workers:
            for return_, length, terminated, seed in worker.finished_episodes:
                end, counters = "terminated" if terminated else "truncated", (self.a3c.env_steps, self.a3c.updates)
                self.episodes.append(FinishedEpisode(worker.index, return_, length, end, seed, *counters))
            worker.finished_episodes.clear()
        self.fractions.append(self.setup.budget.fraction(len(self.episodes), self.a3c.env_steps, self.a3c.updates))


def schedule_factor(shape: ScheduleKind | Sequence[tuple[float, float]], fraction: float) -> float:
    """What a schedule multiplies by, written anew."""
    match shape:
        case ScheduleKind.constant:
            return 1.0
        case ScheduleKind.linear:
            return 1.0 - fraction
        case ScheduleKind.cosine:
            return (1 + math.cos(math.pi * fraction)) / 2
    if fraction <= shape[0][0]:
        return shape[0][1]
    for (left, low), (right, high) in itertools.pairwise(shape):
        if fraction <= right:
            return low + (high - low) * (fraction - left) / (right - left)
    return shape[-1][1]
