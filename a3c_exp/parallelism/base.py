"""What every way to parallelise is given, what it reports, and what it must offer to the trainer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from a3c_exp.core.budget import Budget
from a3c_exp.core.types import LearnerSpec, TrainingState
from a3c_exp.envs.base import Environments
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.optimizers.flat import FlatLayout
from a3c_exp.parallelism.tally import Tally
from a3c_exp.rollout import EndedEpisode

MakeEnvironments = Callable[..., Environments]
MakeModel = Callable[..., ActorCritic]


@dataclass(frozen=True)
class Task:
    """Everything that workers need, picklable, the same for every kind of parallelism.

    Attributes:
        make_envs: called with ``num_envs`` for that many environments.
        make_model: called with the two spaces and a seed.
        optimizer: shared arithmetic; its state lives with the weights.
        learner: how experience becomes gradients.
        workers: N logical workers.
        budget: what ends training.
        max_episode_steps: the time limit in environment steps, or ``None`` for none.
        seed: root of all random streams.
        device: where the networks run; the shared weights are always in main memory.
    """

    make_envs: MakeEnvironments
    make_model: MakeModel
    optimizer: Optimizer
    learner: LearnerSpec
    workers: int
    budget: Budget
    max_episode_steps: int | None
    seed: int
    device: str = "cpu"

    def model(self, envs: Environments) -> tuple[ActorCritic, FlatLayout]:
        """The network for these environments' spaces, with its seeded initial weights, and its layout."""
        model = self.make_model(envs.observation_space, envs.action_space, seed=self.seed)
        return model.to(self.device), FlatLayout.of(model)


@dataclass(frozen=True)
class EpisodeEvent:
    """A worker finished an episode when the whole run stood at ``env_step`` and ``update``."""

    episode: EndedEpisode
    env_step: int
    update: int


@dataclass(frozen=True)
class TallyEvent:
    """Sums over windows that were pushed since the last such event."""

    tally: Tally


@dataclass(frozen=True)
class Notice:
    """Something that a person should read."""

    text: str


Event = EpisodeEvent | TallyEvent | Notice


@dataclass(frozen=True)
class Counts:
    """Where training stands."""

    env_steps: int
    updates: int
    episodes: int


class Parallelism(Protocol):
    """One way to run workers. The trainer calls these in order: start, then advance and friends, then stop."""

    def start(self, task: Task, state: TrainingState) -> None:
        """Begin training from a state. Returns as soon as workers are on their way."""

    def advance(self, timeout: float) -> Sequence[Event]:
        """Let training go on for at most about ``timeout`` seconds and hand over what happened.

        Raises:
            NonFiniteError: a loss or gradient was not finite; nothing of it was applied.
            WorkerError: workers died more often than allowed.
        """

    def counts(self) -> Counts: ...

    def first_step_taken(self) -> bool:
        """Whether any worker has stepped its environment yet."""

    def weights(self) -> Tensor:
        """A copy of the shared weights ``[P]`` as they are now, for evaluation."""

    def snapshot(self) -> tuple[TrainingState, Sequence[Event]]:
        """A consistent state to go on from, and what happened up to it; also after ``stop``.

        Where workers run freely it is taken at a barrier that is bounded in time.
        """

    def stop(self) -> Sequence[Event]:
        """End all workers, with a limit; leaves no process behind. Returns what they still had to say."""

    def figures(self) -> dict[str, Any]:
        """What this kind of parallelism has to say about itself, for the summary."""
