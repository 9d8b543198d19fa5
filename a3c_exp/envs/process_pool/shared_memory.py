"""The memory that a pool of environment processes shares with the main process."""

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PoolLayout = np.dtype[np.void]
"""Where each of ``PoolArrays`` lies in the memory, as a structured type with one field for each."""


@dataclass(frozen=True)
class PoolArrays:
    """Everything about K environments, in shared memory.

    Attributes:
        observation, reward, terminated, truncated: as in ``EnvBatch``.
        active: ``[K]`` the environments that the step in progress is for.
        action: ``[K, bytes]``; type and shape of an action are agreed on when the first one comes.
    """

    observation: NDArray[np.float32]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    active: NDArray[np.bool_]
    action: NDArray[np.uint8]


def pool_layout(num_envs: int, observation_shape: tuple[int, ...], action_bytes: int) -> PoolLayout:
    """The layout for this many environments.

    Args:
        num_envs: K, of the whole pool.
        observation_shape: of one environment.
        action_bytes: that one environment's action may take; a multiple of 8, so that any type is aligned.
    """
    k = num_envs
    flags = [(name, np.bool_, (k,)) for name in ("terminated", "truncated", "active")]
    arrays = [("reward", np.float64, (k,)), ("action", np.uint8, (k, action_bytes))]
    return np.dtype([*arrays, ("observation", np.float32, (k, *observation_shape)), *flags])


def create_shared_memory(size: int) -> int:
    """A file of ``size`` zeros that no folder lists, so that not even ``kill -9`` of all processes leaves it behind.

    The kernel frees it with the last descriptor and the last mapping. Unlike ``multiprocessing.shared_memory`` it needs no
    clean-up by name, and unlike ``/dev/shm`` no container makes it too small.

    Returns:
        Its descriptor.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("a3c_exp_environments")
    else:
        descriptor, name = tempfile.mkstemp(prefix="a3c_exp_")
        os.unlink(name)  # noqa: PTH108 - a name, as mkstemp gives it
    os.ftruncate(descriptor, size)
    return descriptor


def map_arrays(descriptor: int, layout: PoolLayout) -> PoolArrays:
    """The arrays in the memory. The descriptor may be closed: the mapping keeps the memory."""
    whole: NDArray[Any] = np.ndarray(1, layout, mmap.mmap(descriptor, layout.itemsize))
    return PoolArrays(**{name: whole[name][0] for name in layout.names or ()})


def view_actions(buffer: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The actions ``[K, ...]`` in their ``buffer [K, bytes]``.

    Args:
        buffer: of all environments.
        dtype: numpy's name of the actions' type, such as ``<f4``.
        shape: of one environment's action.

    Raises:
        ValueError: they do not fit.
    """
    kind = np.dtype((dtype, shape))
    if kind.itemsize > buffer.shape[1]:
        raise ValueError(f"an action of type {kind} takes {kind.itemsize} bytes; there are {buffer.shape[1]}")
    return np.ndarray(len(buffer), kind, buffer)
