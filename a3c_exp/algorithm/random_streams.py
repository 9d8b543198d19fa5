"""One counter-based random stream for each (seed, worker, purpose), so that no worker's random numbers depend on the others.

A stream is a Philox generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") keyed by the root seed, the
purpose and the worker. Its counter is the round or episode number, which is all that a checkpoint needs of it.
"""

from enum import IntEnum
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from a3c_exp.models.distributions import Distribution, draw_noise

NOISE_BLOCK = 64  # windows whose noise is drawn at once: making a generator costs more than drawing from it


class StreamPurpose(IntEnum):
    """What a stream is for. The numbers are part of every run's reproducibility: never reuse or reorder them."""

    network = 0
    environment = 1
    action = 2
    evaluation = 3
    evaluation_action = 4
    schedule = 5
    per_worker = 6
    lag = 7
    exploration = 8


@cache
def _philox_key(seed: int, purpose: StreamPurpose, worker: int) -> NDArray[np.uint64]:
    return np.random.SeedSequence(seed, spawn_key=(purpose, worker)).generate_state(2, np.uint64).astype(np.uint64)


def random_stream(seed: int, purpose: StreamPurpose, worker: int = 0, counter: int = 0) -> np.random.Generator:
    """The generator of one purpose of one worker at one count (a round, an episode, an evaluation).

    >>> a, b = (random_stream(0, StreamPurpose.action, worker=3, counter=7) for _ in range(2))
    >>> bool((a.random(4) == b.random(4)).all())
    True
    """
    # The count fills the counter's upper half, so that streams of neighboring counts are 2^128 draws apart.
    return np.random.Generator(np.random.Philox(key=_philox_key(seed, purpose, worker), counter=[0, 0, counter, 0]))


@lru_cache(maxsize=4096)  # asked for when an episode is laid out ahead, and when it begins
def env_seed(seed: int, worker: int, episode: int, purpose: StreamPurpose = StreamPurpose.environment) -> int:
    """The seed that a worker's environment is reset with at its ``episode``-th episode: an integer in [0, 2^53)."""
    return int(random_stream(seed, purpose, worker, episode).integers(2**53))


def noise_block(distribution: Distribution, n_step: int, seed: int, worker: int, block: int) -> NDArray[np.float32]:
    """The noise ``[NOISE_BLOCK, n, noise]`` of a worker's actions in so many windows that follow each other, without what
    several steps share."""
    return draw_noise(distribution, random_stream(seed, StreamPurpose.action, worker, block), (NOISE_BLOCK, n_step))


def sde_noise(distribution: Distribution, n_step: int, seed: int, worker: int, window: int) -> NDArray[np.float32]:
    """The noise ``[n, sde_noise]`` of one window that ``sde_sample_freq`` steps share.

    It is drawn anew at the window's start and every so many steps in it; if they are more than a window has, at the start of
    every so many whole windows. A worker's count of windows is thus all that a checkpoint needs of it.
    """
    steps = n_step if distribution.sde_sample_freq < 0 else distribution.sde_sample_freq
    draws, shared_windows = -(-n_step // steps), max(1, steps // n_step)
    generator = random_stream(seed, StreamPurpose.exploration, worker, window // shared_windows)
    drawn = generator.standard_normal((draws, distribution.sde_noise), dtype=np.float32)
    shared: NDArray[np.float32] = drawn[np.arange(n_step) // steps]
    return shared


def window_noise(distribution: Distribution, n_step: int, seed: int, worker: int, window: int) -> NDArray[np.float32]:
    """The noise ``[n, noise]`` of a worker's actions in one window."""
    noise: NDArray[np.float32] = noise_block(distribution, n_step, seed, worker, window // NOISE_BLOCK)[window % NOISE_BLOCK]
    if not distribution.sde_noise:
        return noise
    return np.concatenate([noise, sde_noise(distribution, n_step, seed, worker, window)], axis=-1)
