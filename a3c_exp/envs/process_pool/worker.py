"""The inside of one process of a pool: its share of the environments, and the loop that does what the main process asks."""

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
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
from gymnasium import Space

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool.shared_memory import ActionFormat, AnonymousSharedMemory, PoolLayout
from a3c_exp.system.errors import ConfigError

Request = tuple[Literal["step", "reset", "render", "action", "close"], Any]
"""What is asked and with what. The layout of the memory comes before all requests; ``action`` and ``close`` have no answer."""

STEP: bytes = pickle.dumps(("step", None))
CLOSE: bytes = pickle.dumps(("close", None))
_NO_EPISODE_ENDED, _EPISODE_ENDED = pickle.dumps(False), pickle.dumps(True)


@dataclass(frozen=True)
class Handshake:
    """The first word of a process that has made its environments."""

    observation_space: Space[Any]
    action_space: Space[Any]
    default_max_episode_steps: int | None
    observation_shape: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """The last word of a process in which something was raised.

    Attributes:
        text: the message of a mistake that the person can mend, else the traceback.
        is_config_error: whether it was a ``ConfigError``.
    """

    text: str
    is_config_error: bool


def main(
    make_envs: Callable[..., EnvBatch],
    first: int,
    count: int,
    shared_memory: AnonymousSharedMemory,
    lifeline: Connection,
    pipe: Connection,
) -> None:
    """Entry of the process. Ends when told to, when the main process is gone, or by an error, which it reports first."""
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
        layout: PoolLayout = pipe.recv()
        _EnvShard(envs, first, layout, shared_memory).serve(pipe)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # the main process is gone, and so is everyone who could be told
    except BaseException as error:
        mendable = isinstance(error, ConfigError)
        with suppress(OSError):
            pipe.send(Failure(str(error) if mendable else traceback.format_exc().rstrip(), mendable))
        if envs is not None:
            with suppress(Exception):  # what was raised first is what counts
                envs.close()
        os._exit(1)
    envs.close()


def _exit_with_parent(lifeline: Connection) -> None:
    """Have the kernel end this process when the main process does, also in the middle of a step that never returns.

    Nothing is ever written into the lifeline, so the signal that its file sends, SIGIO, can only mean its end; and what SIGIO
    does by default is to end the process, whatever it is doing. Each process needs a lifeline of its own: whom to signal is
    a property of the open file.
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
        assert array.dtype == kind, f"{name} is {array.dtype}, but Environments keep it as {np.dtype(kind)}"
        assert len(array) == count, f"{name} is of {len(array)} environments, but {count} were asked for"


class _EnvShard:
    """The environments from ``first`` on, and the part of the shared memory that shows them.

    They keep arrays of their own, which are copied row by row: an implementation may hold views of them, as the rollout does,
    so they cannot be exchanged for shared ones.
    """

    def __init__(self, envs: EnvBatch, first: int, layout: PoolLayout, shared_memory: AnonymousSharedMemory) -> None:
        self._envs = envs
        whole = layout.arrays(shared_memory.into_mmap())
        self._slice = slice(first, first + envs.num_envs)
        self._observation = whole.observation[self._slice]
        self._reward = whole.reward[self._slice]
        self._terminated = whole.terminated[self._slice]
        self._truncated = whole.truncated[self._slice]
        self._active = whole.active[self._slice]
        self._action_buffer = whole.action
        self._action = whole.action[self._slice]  # until its form is told

    def serve(self, pipe: Connection) -> None:
        """Do what is asked until told to end."""
        while True:
            request: Request = pipe.recv()
            match request:
                case "step", _:
                    pipe.send_bytes(_EPISODE_ENDED if self._step() else _NO_EPISODE_ENDED)
                case "reset", (index, seed):
                    self._envs.reset(index, seed)
                    self._observation[index] = self._envs.observation[index]
                    pipe.send_bytes(_NO_EPISODE_ENDED)
                case "action", ActionFormat() as form:
                    self._action = form.view(self._action_buffer)[self._slice]
                case "render", _:
                    pipe.send(self._envs.render())
                case _:
                    return

    def _step(self) -> bool:
        envs = self._envs
        # Copies, because environments may keep what they are given, and the next step is written over it.
        live = self._active.copy()
        any_end = envs.step(self._action.copy(), live)
        for k in live.nonzero()[0].tolist():
            self._observation[k] = envs.observation[k]
            self._reward[k] = envs.reward[k]
            self._terminated[k] = envs.terminated[k]
            self._truncated[k] = envs.truncated[k]
        return bool(any_end)
