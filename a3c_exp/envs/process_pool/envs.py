"""K environments spread over processes, for tasks whose step is slow, seen as if they were all here.

Observations, rewards, flags and actions lie in shared memory; a step is one message of a few bytes to each process that has a
live environment, and one back. Answers are taken in the order of the environments, so nothing depends on who is first.
"""

import multiprocessing
import pickle
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool import worker as pool_process
from a3c_exp.envs.process_pool.shared_memory import ActionFormat, AnonymousSharedMemory, PoolLayout
from a3c_exp.envs.process_pool.worker import CLOSE, STEP, Failure, Handshake
from a3c_exp.system.errors import ConfigError, WorkerError
from a3c_exp.system.process_setup import describe_exit, single_thread_environment

_PRELOAD = ["a3c_exp.envs.process_pool.worker", "a3c_exp.envs.gymnasium"]
"""What a fork server imports once for all processes, if the pool is the first to need one. No torch."""
_START_TIMEOUT = 120.0
"""How long making environments may take, unless the timeout is longer: imports on a busy machine are no hang."""
_CLOSE_TIMEOUT = 5.0
"""How long processes may take to close their environments when told to, before they are killed."""


class SubprocessEnvs(EnvBatch):
    """K environments in worker processes, with the same bits as K environments in one process.

    That holds for environments that are alike, know nothing of each other and draw only from what their episode's seed gave.
    The arrays are overwritten in place; what their reader writes into a row stays until that environment is stepped or reset.

    Args:
        make_envs: called in each process with ``num_envs`` for its share; picklable.
        num_envs: K.
        processes: how many; never more than environments. Each has a contiguous share, as ``numpy.array_split`` gives them.
        timeout: seconds within which a process must answer to a step or a reset; it has two minutes at least to make them.
        start_method: forkserver or spawn.

    Raises:
        ConfigError: a value is out of its range, or ``make_envs`` said so in a process.
        WorkerError: an environment raised, its process died or did not answer in time: here, in ``step``, ``reset`` and
            ``render``. All processes are ended then, and the pool stays closed.
    """

    def __init__(
        self,
        make_envs: Callable[..., EnvBatch],
        num_envs: int,
        processes: int,
        timeout: float = 60.0,
        start_method: Literal["forkserver", "spawn"] = "forkserver",
    ) -> None:
        for name, number in (("num_envs", num_envs), ("processes", processes)):
            if number < 1:
                raise ConfigError(f"a pool of environments was given {name}={number}, but it is 1 or more. Try {name}=2")
        if not 0 < timeout < 1e9:
            raise ConfigError(
                f"a pool of environments was given timeout={timeout:g} seconds, but it is above 0. Try timeout=60"
            )
        if start_method not in ("forkserver", "spawn"):
            raise ConfigError(
                f"a pool of environments was given start_method={start_method}, but it is forkserver or spawn. "
                "Try start_method=forkserver"
            )
        self.num_envs = num_envs
        self._env_processes: list[_EnvProcess] = []
        # At exit this comes before multiprocessing's own end, which waits without a limit; in a forked copy it does nothing.
        self._finalizer = util.Finalize(self, _close_processes, args=(self._env_processes,), exitpriority=10)
        file = AnonymousSharedMemory()
        try:
            context: Any = _context(start_method)
            for share in np.array_split(np.arange(num_envs), min(processes, num_envs)):
                member = _EnvProcess.start(context, make_envs, share.tolist(), file)
                self._env_processes.append(member)
                member.set_timeout(max(timeout, _START_TIMEOUT))
            self._handshake(file, timeout)
        except BaseException:
            self.close()
            raise
        finally:
            file.close()

    def _handshake(self, shared_memory: AnonymousSharedMemory, timeout: float) -> None:
        """Hear from everyone what they have made, and lay out the memory accordingly."""
        hellos = []
        for member in self._env_processes:
            hello = self._receive_reply(member)
            assert isinstance(hello, Handshake)
            hellos.append(hello)
            member.set_timeout(timeout)
        first = hellos[0]
        assert all(hello.observation_shape == first.observation_shape for hello in hellos), "observations differ in shape"
        self.observation_space = first.observation_space
        self.action_space = first.action_space
        self.default_max_episode_steps = first.default_max_episode_steps
        # No policy samples anything wider than 8 bytes a number.
        room = 8 * int(np.prod(self.action_space.shape or ()))
        layout = PoolLayout(self.num_envs, first.observation_shape, max(8, room))
        shared_memory.resize(layout.size)
        whole = layout.arrays(shared_memory.into_mmap())
        self.observation = whole.observation
        self.reward = whole.reward
        self.terminated = whole.terminated
        self.truncated = whole.truncated
        self._active = whole.active
        self._action_buffer = whole.action
        self._action_format: ActionFormat | None = None
        self._action: NDArray[Any] = whole.action
        for member in self._env_processes:
            member.send(pickle.dumps(layout))

    def reset(self, index: int, seed: int) -> None:
        index = range(self.num_envs)[index]
        member = next(member for member in self._open_processes() if index < member.last)
        self._request([member], pickle.dumps(("reset", (index - member.first, seed))))

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        members = self._open_processes()
        if ActionFormat.from_actions(action) != self._action_format:
            self._set_action_format(ActionFormat.from_actions(action))
        np.copyto(self._action, action)
        np.copyto(self._active, active)
        asked = [member for member in members if active[member.first : member.last].any()]
        return any(self._request(asked, STEP))

    def _set_action_format(self, action_format: ActionFormat) -> None:
        self._action = action_format.view(self._action_buffer)
        self._action_format = action_format
        for member in self._env_processes:
            member.send(pickle.dumps(("action", action_format)))

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""
        frame: NDArray[np.uint8] = self._request(self._open_processes()[:1], pickle.dumps(("render", None)))[0]
        return frame

    def close(self) -> None:
        """Close all environments and end their processes, killing those that take too long. The arrays stay readable."""
        self._finalizer()

    def _open_processes(self) -> "Sequence[_EnvProcess]":
        if not self._env_processes:
            raise WorkerError("this pool of environments is closed")
        return self._env_processes

    def _request(self, env_processes: "Sequence[_EnvProcess]", request: bytes) -> list[Any]:
        """Ask all, then hear all, in their order."""
        try:
            for member in env_processes:
                member.send(request)
            return [self._receive_reply(member) for member in env_processes]
        except BaseException:  # Ctrl-C too: an answer that is still on its way would be taken for the next one's
            self.close()
            raise

    def _receive_reply(self, env_process: "_EnvProcess") -> Any:
        answer = env_process.receive()
        if isinstance(answer, Failure):
            if answer.is_config_error:
                raise ConfigError(answer.text)
            raise WorkerError(f"{env_process.describe(len(self._env_processes))} failed; its traceback:\n{answer.text}")
        if isinstance(answer, NoReply):
            raise WorkerError(f"{env_process.describe(len(self._env_processes))} {answer.cause}")
        return answer


@dataclass(frozen=True)
class NoReply:
    """There was no answer, and there will be none."""

    cause: str


class _EnvProcess:
    """One process of the pool, as the main process sees it: environments ``first`` to ``last - 1``."""

    def __init__(self, first: int, last: int, process: BaseProcess, pipe: Connection, lifeline: Connection) -> None:
        self.first, self.last = first, last
        self.process = process
        self._pipe = pipe
        self._lifeline = lifeline

    @classmethod
    def start(
        cls, context: Any, make_envs: Callable[..., EnvBatch], indices: Sequence[int], shared_memory: AnonymousSharedMemory
    ) -> "_EnvProcess":
        """Start the process for this share of the environments."""
        first, last = indices[0], indices[-1] + 1
        theirs_to_watch, lifeline = context.Pipe(duplex=False)
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(
            target=pool_process.main,
            args=(make_envs, first, last - first, shared_memory, theirs_to_watch, theirs),
            name=f"environments-{first}",
            daemon=True,
        )
        try:
            with single_thread_environment():
                process.start()
        except BaseException:
            ours.close()
            lifeline.close()
            raise
        finally:
            theirs.close()
            theirs_to_watch.close()
        return cls(first, last, process, ours, lifeline)

    def set_timeout(self, seconds: float) -> None:
        """How long it may take to answer from now on.

        The kernel keeps the limit, which costs nothing a step. It begins anew after a signal, so that processes are not blamed
        for the time that everything stood still (Ctrl-Z).
        """
        self._timeout = seconds
        value = struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
        with socket.fromfd(self._pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def send(self, message: bytes) -> None:
        """Say something. Who cannot hear it any more has left its last word in the pipe, for ``receive``."""
        with suppress(OSError):
            self._pipe.send_bytes(message)

    def receive(self) -> Any:
        """The answer; ``NoReply`` when there is none, and then the process is no more."""
        try:
            return self._pipe.recv()
        except BlockingIOError:
            self._kill()
            return NoReply(f"gave no answer for {self._timeout:g} s and was killed")
        except (EOFError, OSError):
            self.process.join(1.0)
            exitcode = self.process.exitcode
            if exitcode is not None:
                return NoReply(describe_exit(exitcode))
            self._kill()
            return NoReply("closed its pipe and was killed")

    def describe(self, processes: int) -> str:
        """Who it is, in a pool of so many ``processes``."""
        which = f"environment {self.first}" if self.last - self.first == 1 else f"environments {self.first} to {self.last - 1}"
        return f"the process of {which} (process id {self.process.pid}, one of {processes})"

    def close(self) -> None:
        """End it if it lives, and let go of it."""
        self._kill()
        self._pipe.close()
        self._lifeline.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            self.process.close()

    def _kill(self) -> None:
        self.process.kill()
        self.process.join(1.0)


def _close_processes(env_processes: list[_EnvProcess]) -> None:
    """Tell all to end, wait a little for all together, kill who is left."""
    deadline = time.monotonic() + _CLOSE_TIMEOUT
    for member in env_processes:
        member.send(CLOSE)
    for member in env_processes:
        member.process.join(max(0.0, deadline - time.monotonic()))
    for member in env_processes:
        member.process.kill()  # all at once, then each is waited for
    for member in env_processes:
        member.close()
    env_processes.clear()


def _context(start_method: str) -> Any:
    if start_method == "forkserver":
        from multiprocessing import forkserver

        multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOAD)  # one that already runs stays as it is
        with single_thread_environment():
            forkserver.ensure_running()
    return multiprocessing.get_context(start_method)
