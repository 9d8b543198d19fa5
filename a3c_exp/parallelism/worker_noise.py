"""The random numbers of K workers' actions, drawn before the rounds that use them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.random_streams import NOISE_BLOCK, noise_block, sde_noise
from a3c_exp.models.distributions import Distribution


class WorkerNoise:
    """What each worker's windows of n steps are sampled with: it depends on the worker and its count of windows alone.

    Args:
        workers: ``[K]`` pairs of a root seed and a number.
    """

    def __init__(self, distribution: Distribution, n_step: int, workers: Sequence[tuple[int, int]]) -> None:
        self._distribution, self._n, self._workers = distribution, n_step, workers
        k, own = len(workers), distribution.noise_size - distribution.sde_noise  # of each step
        self._blocks = np.zeros((k, NOISE_BLOCK, n_step, own), np.float32)
        self._loaded = np.full(k, -1, np.int64)  # which block of each worker's is there
        self._all_workers = np.arange(k)

    def of_round(self, rounds: NDArray[np.int64], needed: NDArray[np.bool_]) -> NDArray[np.float32]:
        """``[K, n, noise]`` of the windows ``rounds [K]``; that of a worker who is not ``needed [K]`` means nothing."""
        self._load(rounds // NOISE_BLOCK, needed)
        noise: NDArray[np.float32] = self._blocks[self._all_workers, rounds % NOISE_BLOCK]
        return np.concatenate([noise, self._shared(rounds)], axis=-1) if self._distribution.sde_noise else noise

    def of_rounds_ahead(self, rounds: NDArray[np.int64], max_count: int) -> Sequence[NDArray[np.float32]]:
        """``[n, K, noise]`` of the windows ``rounds [K]``, of those after them and so on: at most so many, and as many as are
        drawn at once."""
        rows = rounds % NOISE_BLOCK
        count = min(max_count, NOISE_BLOCK - int(rows.max()))
        self._load(rounds // NOISE_BLOCK, np.full(len(rows), True))
        noise = self._blocks[self._all_workers[:, np.newaxis], rows[:, np.newaxis] + np.arange(count)]
        if self._distribution.sde_noise:
            noise = np.concatenate([noise, np.stack([self._shared(rounds + i) for i in range(count)], 1)], axis=-1)
        return list(np.ascontiguousarray(noise.transpose(1, 2, 0, 3)))

    def _shared(self, rounds: NDArray[np.int64]) -> NDArray[np.float32]:
        """``[K, n, sde_noise]`` what several steps of these windows ``[K]`` share."""
        common, of_workers = (self._distribution, self._n), zip(self._workers, rounds.tolist(), strict=True)
        return np.stack([sde_noise(*common, seed, worker, window) for (seed, worker), window in of_workers])

    def _load(self, blocks: NDArray[np.int64], needed: NDArray[np.bool_]) -> None:
        """Draw these workers' noise of the coming round, and of those after it in the same block."""
        for k in ((self._loaded != blocks) & needed).nonzero()[0].tolist():
            seed, worker = self._workers[k]
            self._blocks[k] = noise_block(self._distribution, self._n, seed, worker, int(blocks[k]))
            self._loaded[k] = blocks[k]
