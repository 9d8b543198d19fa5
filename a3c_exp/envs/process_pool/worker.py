"""The inside of one process of a pool: its share of the environments, and the loop that answers the main process's requests."""

import fcntl
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool.shared_memory import PoolArrays, map_arrays, view_actions
from a3c_exp.system.errors import A3CError, EnvInterfaceError

Request = tuple[Literal["memory", "action", "reset", "step", "render", "close"], Any]
"""A request and its argument. ``memory``, which comes first, ``action`` and ``close`` have no reply."""

STEP: bytes = pickle.dumps(("step", None))
CLOSE: bytes = pickle.dumps(("close", None))
_NO_EPISODE_ENDED, _EPISODE_ENDED = pickle.dumps(False), pickle.dumps(True)


@dataclass(frozen=True)
class Handshake:
    """The first message of a process that has made its environments."""

    observation_space: Space[Any]
    action_space: Space[Any]
    default_max_episode_steps: int | None
    observation_shape: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """The last message of a process in which something was raised.

    Attributes:
        text: its traceback.
        error: it itself, if it is one that a user can fix.
    """

    text: str
    error: A3CError | None


def main(make_envs: Callable[..., EnvBatch], first: int, count: int, lifeline: Connection, pipe: Connection) -> None:
    """Entry of the process. Ends when asked to, when the main process is gone, or by an error, which it reports first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _exit_with_parent(lifeline)
    if "torch" in sys.modules:  # the fork server may have brought it; environments need none
        sys.modules["torch"].set_num_threads(1)
    envs: EnvBatch | None = None
    try:
        envs = make_envs(num_envs=count)
        _check(envs, count)
        shape = envs.observation.shape[1:]
        pipe.send(Handshake(envs.observation_space, envs.action_space, envs.default_max_episode_steps, shape))
        _EnvShard(envs, first).serve(pipe)
    except BaseException as error:  # EOFError too: environments raise it whose simulator has ended
        if isinstance(error, EnvInterfaceError):
            error = EnvInterfaceError(error.problem, first + error.index)
        with suppress(OSError):  # the main process is gone
            pipe.send(Failure(traceback.format_exc().rstrip(), error if isinstance(error, A3CError) else None))
        if envs is not None:
            with suppress(Exception):  # the first error is the one that counts
                envs.close()
        os._exit(1)
    envs.close()


def _exit_with_parent(lifeline: Connection) -> None:
    """Have the kernel end this process when the main process does, also in the middle of a step that never returns.

    Nothing is ever written into the lifeline, so the signal that its file sends, SIGIO, can only mean its end; and SIGIO by
    default ends the process, whatever it is doing. Each process needs a lifeline of its own: the process to signal is a
    property of the open file.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    end = lifeline.fileno()
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([end], [], [], 0)[0]:  # it came to its end before the signal was asked for
        os._exit(1)


def _check(envs: EnvBatch, count: int) -> None:
    for name, kind in (("observation", np.float32), ("reward", np.float64), ("terminated", np.bool_), ("truncated", np.bool_)):
        array = getattr(envs, name)
        assert array.dtype == kind, f"{name} is {array.dtype}, but EnvBatch keeps it as {np.dtype(kind)}"
        assert len(array) == count, f"{name} is of {len(array)} environments, but {count} were asked for"


class _EnvShard:
    """The environments from ``first`` on, and their part of the shared memory.

    They keep arrays of their own, which are copied row by row: an implementation may hold views of them, as the rollout does,
    so they cannot be exchanged for shared ones.
    """

    def __init__(self, envs: EnvBatch, first: int) -> None:
        self._envs = envs
        self._slice = slice(first, first + envs.num_envs)

    def _share(self, arrays: PoolArrays) -> None:
        self._observation = arrays.observation[self._slice]
        self._reward = arrays.reward[self._slice]
        self._terminated = arrays.terminated[self._slice]
        self._truncated = arrays.truncated[self._slice]
        self._active = arrays.active[self._slice]
        self._action_buffer = arrays.action
        self._action: NDArray[Any] = arrays.action[self._slice]  # until the type of actions is sent

    def serve(self, pipe: Connection) -> None:
        """Answer requests until asked to end."""
        while True:
            request: Request = pipe.recv()
            match request:
                case "memory", layout:
                    descriptor = reduction.recv_handle(pipe)
                    self._share(map_arrays(descriptor, layout))
                    os.close(descriptor)
                case "step", _:
                    pipe.send_bytes(_EPISODE_ENDED if self._step() else _NO_EPISODE_ENDED)
                case "reset", (index, seed):
                    self._envs.reset(index, seed)
                    self._observation[index] = self._envs.observation[index]
                    pipe.send_bytes(_NO_EPISODE_ENDED)
                case "action", (dtype, shape):
                    self._action = view_actions(self._action_buffer, dtype, shape)[self._slice]
                case "render", _:
                    pipe.send(self._envs.render())
                case _:
                    return

    def _step(self) -> bool:
        envs = self._envs
        # Copies, because environments may keep their arguments, and the next step overwrites the memory.
        active = self._active.copy()
        any_end = envs.step(self._action.copy(), active)
        for k in active.nonzero()[0].tolist():
            self._observation[k] = envs.observation[k]
            self._reward[k] = envs.reward[k]
            self._terminated[k] = envs.terminated[k]
            self._truncated[k] = envs.truncated[k]
        return bool(any_end)
