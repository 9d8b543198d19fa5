"""The reference implementation, driven through a training setup: the order of updates, lags, learning rates, episodes."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from a3c_exp.algorithm.reference import A3C, Worker
from a3c_exp.config.enums import LRSchedule
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
    """

    def __init__(
        self,
        setup: TrainingSetup,
        env_id: str,
        make_optimizer: MakeOptimizer = ADAM,
        schedule: WorkerSchedule | None = None,
        lag: int | Sequence[int] | None = None,
        algorithm: type[A3C] = A3C,
    ) -> None:
        self.setup = setup
        self.schedule = schedule or RoundRobinSchedule(setup.seed, setup.workers, "fixed")
        self.lag = LagSchedule(lag)
        envs = [gymnasium.make(env_id, max_episode_steps=setup.max_episode_steps) for _ in range(setup.workers)]
        model = setup.make_model(envs[0].observation_space, envs[0].action_space, seed=setup.seed)
        if setup.normalization:
            model = NormalizedModel(model, envs[0].observation_space.shape or (), setup.normalization)
        self.a3c = algorithm(envs, model, make_optimizer(model.parameters()), setup.learner, setup.seed)
        for worker in self.a3c.workers:
            worker.entropy_coef = setup.entropy_coef(setup.seed, worker.index)
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
        self.lags.append(number - worker.pulled_at)
        self._set_learning_rate(worker)
        self.a3c.update(worker.index)
        self._record([worker])

    def synchronous_update(self) -> None:
        """One update from all workers' windows."""
        self.lags.append(0)
        self._set_learning_rate(self.a3c.workers[0])
        self.a3c.synchronous_update()
        self._record(self.a3c.workers)

    def _set_learning_rate(self, worker: Worker) -> None:
        used = self.setup.budget.fraction(len(self.episodes), self.a3c.env_steps, self.a3c.updates)
        schedules = {
            LRSchedule.constant: 1.0,
            LRSchedule.linear: 1.0 - used,
            LRSchedule.cosine: (1 + math.cos(math.pi * used)) / 2,
        }
        factor = schedules[self.setup.per_worker.lr_schedule]
        for group in self.a3c.optimizer.param_groups:
            group["lr"] = factor * self.setup.lr(self.setup.seed, worker.index)

    def _record(self, workers: Iterable[Worker]) -> None:
        self.versions.append(copy.deepcopy(self.a3c.model.state_dict()))
        self.weights.append(torch.cat([parameter.detach().flatten() for parameter in self.a3c.model.parameters()]))
        for worker in workers:
            for return_, length, terminated, seed in worker.finished_episodes:
                end, counters = "terminated" if terminated else "truncated", (self.a3c.env_steps, self.a3c.updates)
                self.episodes.append(FinishedEpisode(worker.index, return_, length, end, seed, *counters))
            worker.finished_episodes.clear()
