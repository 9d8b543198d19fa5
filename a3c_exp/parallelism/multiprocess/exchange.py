"""The one thing in which hogwild and the parameter server differ inside a worker process: how gradients become new weights."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.worker_group import RoundResult


class Exchange(Protocol):
    """Gives the gradients of a process's K workers to the shared weights, and each worker the weights that follow.

    Attributes:
        burst_rounds: rounds that may follow each other with nothing but ``push_and_pull_all`` between them, at most; 0: each
            round goes through ``push_and_pull`` and ``settle``.
    """

    burst_rounds: int = 0

    def pull_all(self) -> None:
        """Bring all rows of the workers' weights to the shared weights, before the first round."""

    def before_round(self) -> Iterable[EndedEpisode]:
        """What must be done between two rounds; returns the episodes that it ended."""
        return ()

    def push_and_pull(self, result: RoundResult, workers: Sequence[int]) -> None:
        """Apply these workers' gradients in this order, and give each the weights that follow its own."""

    def push_and_pull_all(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> None:
        """``push_and_pull`` for full windows of all workers. Called in inference mode, and only where ``burst_rounds`` is not
        0."""
        raise AssertionError(f"{type(self).__name__} has no bursts")

    def settle(self, steps: int) -> None:
        """Everything of a round was applied: count its steps, and give back what it had reserved beyond them."""

    def updates(self) -> int:
        """Updates of the shared weights so far."""

    def close(self) -> None:
        """The workers have ended: send what was not sent yet."""
        return
