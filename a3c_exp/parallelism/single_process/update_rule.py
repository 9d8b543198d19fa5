"""What tells one single-process parallelism from another: who acts, and which gradient is applied next."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.round_result import EndedByRound
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup


class UpdateRule(Protocol):
    """Decides for each training in the process which workers act and in which order their gradients are applied.

    ``SingleProcessStrategy`` asks ``next_update`` for as long as it makes updates, then ``allowed_steps`` once for each;
    one round is computed, and ``collect`` is given each one's part. Keep what is pending by ``training.index``.

    Attributes:
        name: written into checkpoints, so that no other rule goes on from them.
        share_weights: all workers of a training act with the weights that updates change, and one gradient is computed of all
            their windows; or each has a copy of its own, a row of ``training.worker_weights``, that changes only when it pulls.
        sequential_updates: compiled code that applies a round's gradients, if ``start`` made any.
        has_bursts: rounds in which all workers act for a full window may be run in bursts; needs ``sequential_updates`` and
            the methods at the end.
    """

    name: str
    share_weights: bool
    sequential_updates: SequentialUpdates | None = None
    has_bursts: bool = False

    def check(self, setup: TrainingSetup) -> None:
        """Refuse what this rule cannot train: a ``ConfigError`` says so, and what to type instead."""
        return

    def start(self, setup: TrainingSetup, worker_group: WorkerGroup, trainings: Sequence[SeedTraining]) -> None:
        """Begin with these trainings, before ``load_state_dict`` of each."""

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        """Write into ``allowed [N]`` (all 0) how many steps each worker may take in the coming round: what
        ``training.reserve`` has granted. A worker whose last gradient was not applied yet must be left at 0."""

    def window_fractions(self, training: SeedTraining) -> NDArray[np.float64]:
        """``[N]`` how much of the budget was used up when each worker pulled the weights of its coming window: what the
        schedules of the window go by. Asked after ``allowed_steps``, and only where windows have a schedule."""
        return np.full(len(training.reserved_steps), training.fraction)

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        """Keep what a round brought for this training's workers, of whom ``participants`` acted. Gradients and statistics of
        every round are new and may be kept as they are; ``result.steps`` is overwritten."""

    def next_update(self, training: SeedTraining, until: int) -> bool:
        """Apply the next gradient, each once, or several that follow each other, of which none but the last may bring the
        environment steps to ``until``; false if a round must come first."""
        raise NotImplementedError

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        """What is pending, in plain values and tensors, for a checkpoint between any two updates."""
        return {}

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        """Go on from ``state_dict``, or begin if it is ``None``; weights, counters and episodes are in place by then."""
        return

    def summary(self, index: int) -> dict[str, Any]:
        """What the run's summary should say of one training."""
        return {}

    def max_burst_rounds(self, training: SeedTraining, until: int) -> int:
        """How many rounds of full windows can follow before the training's environment steps come to ``until``."""
        return 0

    def push_orders(self, training: SeedTraining, rounds: int) -> NDArray[np.int64] | None:
        """``[rounds, c]`` the rows of gradients in the order in which they are applied; ``None`` in the middle of a round."""
        return None

    def burst_fractions(self, training: SeedTraining, orders: NDArray[np.int64]) -> NDArray[np.float64]:
        """``[rounds + 1, N]`` the ``window_fractions`` of each round of a burst with these ``orders [rounds, c]``, and of the
        round after it."""
        (rounds, c), workers = orders.shape, len(training.reserved_steps)
        ahead = training.fractions_ahead(c * np.arange(rounds + 1), c)
        return np.repeat(ahead, workers).reshape(rounds + 1, workers)

    def settle_burst(
        self,
        training: SeedTraining,
        orders: NDArray[np.int64],
        window_stats: NDArray[np.float32],
        ended: EndedByRound,
    ) -> None:
        """Count rounds that were applied: ``orders [rounds, c]``, ``window_stats [rounds, c, len(statistics)]`` by row of
        gradients, and the episodes that ``ended``, by round. There may be none."""
        return
