"""The memory that a pool of environment processes shares with the main process."""

import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

PoolLayout = np.dtype[np.void]
"""Where each array lies in the memory, as a structured type with one field for each."""


def pool_layout(num_envs: int, observation_kind: tuple[str, tuple[int, ...]], action_bytes: int) -> PoolLayout:
    """Everything about K environments: the arrays of ``EnvBatch``, observations of the type and shape ``observation_kind``;
    ``active [K]``, which the step in progress is for; and
    ``action [K, action_bytes]`` (a multiple of 8, so that any type is aligned), whose type and shape are agreed on when the
    first one comes."""
    k = num_envs
    flags = [(name, np.bool_, (k,)) for name in ("terminated", "truncated", "life_lost", "active")]
    arrays = [("reward", np.float64, (k,)), ("action", np.uint8, (k, action_bytes))]
    dtype, shape = observation_kind
    return np.dtype([*arrays, ("observation", dtype, (k, *shape)), *flags])


def create_shared_memory(size: int) -> int:
    """A file of ``size`` zeros that no folder lists, so that not even ``kill -9`` of all processes leaves it behind.

    The kernel frees it with the last descriptor and the last mapping. Unlike ``multiprocessing.shared_memory`` it needs no
    clean-up by name, and unlike ``/dev/shm`` no container makes it too small. Returns its descriptor.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("a3c_exp_environments")
    else:
        descriptor, name = tempfile.mkstemp(prefix="a3c_exp_")
        os.unlink(name)  # noqa: PTH108 - a name, as mkstemp gives it
    os.ftruncate(descriptor, size)
    return descriptor


def map_arrays(descriptor: int, layout: PoolLayout) -> dict[str, NDArray[Any]]:
    """The arrays in the memory, by name. The descriptor may be closed: the mapping keeps the memory."""
    whole: NDArray[Any] = np.ndarray(1, layout, mmap.mmap(descriptor, layout.itemsize))
    return {name: whole[name][0] for name in layout.names or ()}


def view_actions(buffer: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The actions ``[K, *shape]`` in their ``buffer [K, bytes]``, if they fit; ``dtype`` is numpy's name of their type, such as
    ``<f4``."""
    kind = np.dtype((dtype, shape))
    if kind.itemsize > buffer.shape[1]:
        raise ValueError(f"an action of type {kind} takes {kind.itemsize} bytes; there are {buffer.shape[1]}")
    return np.ndarray(len(buffer), kind, buffer)
