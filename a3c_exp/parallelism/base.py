"""What every parallelism is given, what it reports, and what it must offer to the trainer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.normalization import NormalizingOptimizer
from a3c_exp.algorithm.per_worker import PerWorkerHyperparameters
from a3c_exp.algorithm.schedules import Schedules
from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.normalization import Normalization, NormalizedModel, packed_size
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.optimizers.flat_parameters import ParameterLayout

if TYPE_CHECKING:
    from a3c_exp.parallelism.multiprocess.compiling_processes import CompileTask

MakeEnvironments = Callable[..., EnvBatch]
MakeModel = Callable[..., ActorCritic]


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that workers need, picklable, the same for every kind of parallelism."""

    make_envs: MakeEnvironments  # called with num_envs for that many environments
    make_model: MakeModel  # called with the two spaces and a seed
    optimizer: Optimizer  # shared arithmetic; its state lives with the weights
    learner: LearnerConfig
    workers: int  # N logical workers
    budget: Budget
    max_episode_steps: int | None  # the time limit in environment steps
    seed: int  # root of all random streams; of the first, where several seeds are trained together
    device: str = "cpu"  # where the networks run; the shared weights are always in main memory
    num_seeds: int = 1  # S independent trainings in one process, with the seeds ``seed`` to ``seed + S - 1``
    compile: bool = False  # acting and learning, where the parallelism can
    bfloat16: bool = False  # compiled convolutions in mixed precision
    compile_while_training: bool = False  # start uncompiled, and go over to compiled code when it is there
    evaluation_kwargs: Mapping[str, Any] = field(default_factory=dict)  # what evaluations make environments with besides
    per_worker: PerWorkerHyperparameters = field(default_factory=PerWorkerHyperparameters)
    schedules: Schedules = field(default_factory=Schedules)
    normalization: Normalization = field(default_factory=Normalization)
    statistics_size: int = 0  # how many of the last weights are running statistics

    def with_normalization(self, normalization: Normalization, envs: EnvBatch) -> "TrainingSetup":
        """The same for a model that normalizes, and an optimizer that merges its running statistics."""
        if not normalization:
            return self
        setup = replace(self, normalization=normalization)
        model, _ = setup.model(envs)
        assert isinstance(model, NormalizedModel)
        size = packed_size(model.features)
        return replace(setup, statistics_size=size, optimizer=NormalizingOptimizer(self.optimizer, size))

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def make_evaluation_envs(self) -> MakeEnvironments:
        """``make_envs`` as evaluations call it."""
        return partial(self.make_envs, **self.evaluation_kwargs)

    def worker_hyperparameters(self, seed: int) -> list[dict[str, float]]:
        """What each worker of a training has of its own, ``{"worker", "entropy_coef", "lr"}``; empty where all are alike."""
        if self.per_worker.beta is None and self.per_worker.lr is None:
            return []
        return [
            {"worker": worker, "entropy_coef": self.entropy_coef(seed, worker), "lr": self.lr(seed, worker)}
            for worker in range(self.workers)
        ]

    def entropy_coef(self, seed: int, worker: int) -> float:
        own = self.per_worker.beta
        return self.learner.loss.entropy_coef if own is None else own.draw(seed, worker)

    def lr(self, seed: int, worker: int) -> float:
        """Before it is annealed."""
        own = self.per_worker.lr
        return self.optimizer.lr if own is None else own.draw(seed, worker)

    def lr_factor(self, episodes: int, env_steps: int, updates: int) -> float:
        """What learning rates are multiplied by at this point of the budget."""
        if self.schedules.lr.is_constant:
            return 1.0
        return self.schedules.lr.factor(self.budget.fraction(episodes, env_steps, updates))

    def scheduled_hyperparameters(self, seed: int, fraction: float) -> dict[str, float]:
        """By their keys, the hyperparameters that have a schedule, as they are when ``fraction`` of the budget is used up; the
        mean of those that each worker has its own of."""
        schedules, workers = self.schedules, range(self.workers)
        values: dict[str, float] = {}
        if not schedules.lr.is_constant:
            values["lr"] = schedules.lr.factor(fraction) * fmean(self.lr(seed, worker) for worker in workers)
        if not schedules.beta.is_constant:
            values["beta"] = schedules.beta.factor(fraction) * fmean(self.entropy_coef(seed, worker) for worker in workers)
        if not schedules.max_grad_norm.is_constant:
            values["max_grad_norm"] = schedules.max_grad_norm.factor(fraction) * (self.learner.max_grad_norm or math.inf)
        return values

    def model(self, envs: EnvBatch, seed: int | None = None) -> tuple[ActorCritic, ParameterLayout]:
        """The network for these environments' spaces, with its seeded initial weights, and its layout."""
        model = self.make_model(envs.observation_space, envs.action_space, seed=self.seed if seed is None else seed)
        if self.normalization:
            model = NormalizedModel(model, envs.observation.shape[1:], self.normalization)
        return model.to(self.device), ParameterLayout.from_module(model)


@dataclass(frozen=True)
class EpisodeEvent:
    """A worker finished an episode when its whole training stood at ``env_step`` and ``update``; ``index`` counts seeds."""

    episode: EndedEpisode
    env_step: int
    update: int
    index: int = 0


@dataclass(frozen=True)
class StatsEvent:
    """Sums over windows that were pushed since the last such event."""

    stats: TrainingStats
    index: int = 0


@dataclass(frozen=True)
class MessageEvent:
    """A message to the user."""

    text: str


Event = EpisodeEvent | StatsEvent | MessageEvent


@dataclass(frozen=True)
class Counts:
    """Where training stands."""

    env_steps: int
    updates: int
    episodes: int


@dataclass(frozen=True)
class ClusterProcesses:
    """Processes of a run that are on the nodes of a Ray cluster."""

    address: str  # of its head, or auto
    count: int  # without all of which the run is slower; one it needs to get on
    cores: int  # of each
    instead: str  # what to type for a run without them


class Parallelism(Protocol):
    """One way to run workers. The trainer calls start, then advance and friends, then stop. Derive a class from this one: what
    it need not decide has a value. Of trainings that run side by side, a seed each, ``index`` says which is meant."""

    share_weights: bool = False
    """Whether all workers' windows make one update together."""

    compiles_while_training: bool = False
    """Whether workers can go over to compiled code in the middle of a training: not where that would change what repeats."""

    def cores(self, workers: int, num_seeds: int) -> int:
        """How many cores a run keeps busy, for a sweep that runs several side by side."""
        return 1

    def cluster_processes(self, workers: int, num_seeds: int) -> ClusterProcesses | None:
        """What a run takes of a Ray cluster besides the cores that it keeps busy itself."""
        return None

    def with_processes(self, setup: TrainingSetup) -> "Parallelism":
        """What runs this training: this object, or one that has copies of it train a share of the seeds each."""
        return self

    def check(self, setup: TrainingSetup) -> None:
        """Refuse what this parallelism cannot run: a ``ConfigError`` says so, and what to type instead."""

    def compile_task(self, setup: TrainingSetup) -> "CompileTask | None":
        """All that this training will run compiled, for another process to compile it earlier; ``None`` if it compiles nothing,
        or does so before it starts anything else."""
        return None

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        """Begin training from a state for each seed. Returns as soon as workers are started, with what happened.

        Raises:
            ConfigError: the states are not of this parallelism, or there are more of them than it can run.
        """

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        """Let training go on for at most about ``timeout`` seconds and hand over what happened.

        Args:
            timeout: seconds.
            until: for each seed the environment steps at which the trainer wants to do something. A parallelism whose workers
                wait for this call stops at the first update from there on, the same in every repetition; others go on.

        Raises:
            NonFiniteError: a loss or gradient was not finite; nothing of it was applied.
            WorkerError: workers died more often than allowed.
        """

    def listen(self) -> Sequence[Event]:
        """What happened meanwhile, for a trainer that is busy with something else; does not train."""

    def counts(self, index: int = 0) -> Counts: ...

    def first_step_taken(self) -> bool:
        """Whether any worker has stepped its environment yet."""

    def weights(self, index: int = 0) -> Tensor:
        """A copy of the shared weights ``[P]`` as they are now, for evaluation."""

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        """A consistent state to go on from, and what happened up to it; also after ``stop``. Where workers run freely it is
        taken at a barrier that is bounded in time."""

    def can_resume(self, index: int = 0) -> bool:
        """Whether the last ``snapshot`` is a state to go on from: none that an error left in the middle of something, or that
        is older than the events that were handed over. If not, earlier checkpoints stay the newest."""
        return True

    def stop(self) -> Sequence[Event]:
        """End all workers, within a time limit; leaves no process running. Returns their last events."""

    def summary(self, index: int = 0) -> dict[str, Any]:
        """What the run's summary should say about this parallelism."""
