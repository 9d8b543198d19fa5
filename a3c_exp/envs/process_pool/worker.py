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

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool.shared_memory import map_arrays, view_actions
from a3c_exp.system.child_process import end_children
from a3c_exp.system.errors import A3CError, EnvInterfaceError
from a3c_exp.system.signals import leave_to_parent

Request = tuple[Literal["memory", "action", "reset", "step", "episode_info", "render", "close"], Any]
"""A request and its argument. ``memory``, which comes first, ``action`` and ``close`` have no reply."""

STEP: bytes = pickle.dumps(("step", None))
CLOSE: bytes = pickle.dumps(("close", None))
_RESULTS = {
    "observation": (np.float32, np.uint8),
    "reward": (np.float64,),
    "terminated": (np.bool_,),
    "truncated": (np.bool_,),
    "life_lost": (np.bool_,),
}
"""The arrays of ``EnvBatch`` that a step writes, with the kinds that their numbers may be of."""
_NO_EPISODE_ENDED, _EPISODE_ENDED = pickle.dumps(False), pickle.dumps(True)


@dataclass(frozen=True)
class Handshake:
    """The first message of a process that has made its environments."""

    observation_space: Space[Any]
    action_space: Space[Any]
    default_max_episode_steps: int | None
    observation_kind: tuple[str, tuple[int, ...]]  # numpy's name of its numbers' type, and its shape
    has_lives: bool  # whether steps say that a life was lost
    has_episode_info: bool


@dataclass(frozen=True)
class Failure:
    """The last message of a process in which something was raised: its traceback, and it itself if a user can fix it."""

    text: str
    error: A3CError | None


def main(make_envs: Callable[..., EnvBatch], first: int, count: int, lifeline: Connection, pipe: Connection) -> None:
    """Entry of the process. Ends when asked to, when the main process is gone, or by an error, which it reports first."""
    leave_to_parent()
    _exit_with_parent(lifeline)
    if "torch" in sys.modules:  # the fork server may have brought it; environments need none
        sys.modules["torch"].set_num_threads(1)
    envs: EnvBatch | None = None
    try:
        envs = make_envs(num_envs=count)
        for name, kinds in _RESULTS.items():
            if (array := getattr(envs, name)) is None:  # no lives
                continue
            expected = " or ".join(str(np.dtype(kind)) for kind in kinds)
            assert array.dtype in kinds, f"{name} is {array.dtype}, but EnvBatch keeps it as {expected}"
            assert len(array) == count, f"{name} is of {len(array)} environments, but {count} were asked for"
        kind = envs.observation.dtype.str, envs.observation.shape[1:]
        spaces, has = (envs.observation_space, envs.action_space), (envs.life_lost is not None, envs.episode_info is not None)
        pipe.send(Handshake(*spaces, envs.default_max_episode_steps, kind, *has))
        _serve(envs, first, pipe)
    except BaseException as error:  # EOFError too: environments raise it whose simulator has ended
        if isinstance(error, EnvInterfaceError):
            error = EnvInterfaceError(error.problem, first + error.index)
        with suppress(OSError):  # the main process is gone
            pipe.send(Failure(traceback.format_exc().rstrip(), error if isinstance(error, A3CError) else None))
        if envs is not None:
            with suppress(Exception):  # the first error is the one that counts
                envs.close()
        end_children()
        os._exit(1)
    envs.close()


def _exit_with_parent(lifeline: Connection) -> None:
    """Have the kernel end this process when the main process does, also in the middle of a step that never returns. Nothing is
    ever written into the lifeline, so the signal of its file, SIGIO, which ends a process by default, can only mean its end; a
    lifeline is of one process, since the process to signal is a property of the open file."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    end = lifeline.fileno()
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([end], [], [], 0)[0]:  # it came to its end before the signal was asked for
        os._exit(1)


def _serve(envs: EnvBatch, first: int, pipe: Connection) -> None:
    """Answer requests about the environments from ``first`` on until asked to end. Their own arrays are copied row by row: an
    implementation may hold views of them, as the rollout does, so they cannot be exchanged for shared ones."""
    own = slice(first, first + envs.num_envs)
    while True:
        request: Request = pipe.recv()
        match request:
            case "memory", layout:
                descriptor = reduction.recv_handle(pipe)
                shared = map_arrays(descriptor, layout)
                os.close(descriptor)
                results = [(name, shared[name][own]) for name in _RESULTS if getattr(envs, name) is not None]
            case "action", (dtype, shape):
                actions = view_actions(shared["action"], dtype, shape)[own]
            case "step", _:
                # Copies, because environments may keep their arguments, and the next step overwrites the memory.
                active = shared["active"][own].copy()
                any_end = envs.step(actions.copy(), active)
                stepped = active.nonzero()[0].tolist()
                for name, array in results:
                    values = getattr(envs, name)
                    for k in stepped:
                        array[k] = values[k]
                pipe.send_bytes(_EPISODE_ENDED if any_end else _NO_EPISODE_ENDED)
            case "reset", (index, seed):
                envs.reset(index, seed)
                shared["observation"][first + index] = envs.observation[index]
                pipe.send_bytes(_NO_EPISODE_ENDED)
            case "episode_info", index:
                assert envs.episode_info is not None
                pipe.send(dict(envs.episode_info(index)))
            case "render", _:
                pipe.send(envs.render())
            case _:
                return
