"""The memory that a pool of environment processes shares with the main process: what is observed, paid and done lies here."""

import math
import mmap
import os
import tempfile
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64


class AnonymousSharedMemory:
    """Memory in the shape of a file that no folder lists, so that not even ``kill -9`` of everybody leaves it behind.

    The kernel frees it with the last descriptor and the last mapping. It crosses to a process that is being started, with the
    process's other arguments, as a descriptor; it has no size until ``resize``, because what has to fit is known only when the
    first process has made its environments. Unlike ``multiprocessing.shared_memory`` it needs no clean-up by name, and unlike
    ``/dev/shm`` no container makes it too small.

    Args:
        descriptor: of such a file that came from another process; a new file without it.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("a3c_exp_environments") if hasattr(os, "memfd_create") else _unlinked_temporary_file()
        self._descriptor = descriptor

    def resize(self, size: int) -> None:
        """Make it ``size`` bytes long, all 0."""
        os.ftruncate(self._descriptor, size)

    def into_mmap(self) -> mmap.mmap:
        """Its bytes, shared with whoever else maps it. Closes the descriptor: from then on the mapping keeps the memory."""
        try:
            return mmap.mmap(self._descriptor, 0)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the descriptor; what is mapped stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_sent_descriptor, (reduction.DupFd(self._descriptor),)


def _from_sent_descriptor(sent: Any) -> AnonymousSharedMemory:
    return AnonymousSharedMemory(sent.detach())


def _unlinked_temporary_file() -> int:
    descriptor, name = tempfile.mkstemp(prefix="a3c_exp_")
    os.unlink(name)  # noqa: PTH108 - a name, as mkstemp gives it
    return descriptor


@dataclass(frozen=True)
class PoolArrays:
    """Everything about K environments, in shared memory.

    Attributes:
        observation, reward, terminated, truncated: as in ``EnvBatch``.
        active: ``[K]`` which environments the step in progress is for.
        action: ``[K, room]`` bytes; an action's own type and shape are agreed on when the first one comes.
    """

    observation: NDArray[np.float32]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    active: NDArray[np.bool_]
    action: NDArray[np.uint8]


@dataclass(frozen=True)
class PoolLayout:
    """Where what lies.

    Attributes:
        num_envs: K, of the whole pool.
        observation_shape: of one environment.
        action_bytes: bytes that one environment's action may take.
    """

    num_envs: int
    observation_shape: tuple[int, ...]
    action_bytes: int

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(_rounded_up(math.prod(shape) * np.dtype(kind).itemsize) for shape, kind in self._fields())

    def arrays(self, memory: mmap.mmap) -> PoolArrays:
        """Views of the whole memory."""
        views: list[NDArray[Any]] = []
        offset = 0
        for shape, kind in self._fields():
            count = math.prod(shape)
            views.append(np.frombuffer(memory, kind, count, offset).reshape(shape))
            offset += _rounded_up(count * np.dtype(kind).itemsize)
        return PoolArrays(*views)

    def _fields(self) -> list[tuple[tuple[int, ...], type[np.generic]]]:
        """Shape and type in the order of ``PoolArrays``."""
        k = self.num_envs
        return [
            ((k, *self.observation_shape), np.float32),
            ((k,), np.float64),
            ((k,), np.bool_),
            ((k,), np.bool_),
            ((k,), np.bool_),
            ((k, self.action_bytes), np.uint8),
        ]


@dataclass(frozen=True)
class ActionFormat:
    """How the actions of all environments stand in their bytes.

    Attributes:
        dtype: numpy's name of the type, such as ``<f4``.
        shape: of one environment's action.
    """

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def from_actions(cls, action: NDArray[Any]) -> "ActionFormat":
        """That of these actions ``[K, ...]``."""
        return cls(action.dtype.str, action.shape[1:])

    def view(self, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """The actions ``[K, ...]`` in their ``buffer [K, bytes]``.

        Raises:
            ValueError: they do not fit.
        """
        kind = np.dtype(self.dtype)
        needed = math.prod(self.shape) * kind.itemsize
        if needed > buffer.shape[1]:
            raise ValueError(
                f"an action of shape {self.shape} and type {kind} takes {needed} bytes; there are {buffer.shape[1]}"
            )
        flat = buffer.reshape(-1)[: len(buffer) * needed]
        return flat.view(kind).reshape(len(buffer), *self.shape)


def _rounded_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
