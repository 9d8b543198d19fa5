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

from a3c_exp.envs.base import Environments
from a3c_exp.envs.process_pool import worker as pool_process
from a3c_exp.envs.process_pool.shared_memory import ActionForm, NamelessFile, PoolLayout
from a3c_exp.envs.process_pool.worker import CLOSE, STEP, Failure, Hello
from a3c_exp.system.errors import ConfigError, WorkerError
from a3c_exp.system.process_setup import describe_exit, one_thread_each

_PRELOAD = ["a3c_exp.envs.process_pool.worker", "a3c_exp.envs.gymnasium"]
"""What a fork server imports once for all processes, if the pool is the first to need one. No torch."""
_START_SECONDS = 120.0
"""How long making environments may take, unless the timeout is longer: imports on a busy machine are no hang."""
_END_SECONDS = 5.0
"""How long processes may take to close their environments when told to, before they are killed."""


class PooledEnvironments:
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
        make_envs: Callable[..., Environments],
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
        self._members: list[_Member] = []
        # At exit this comes before multiprocessing's own end, which waits without a limit; in a forked copy it does nothing.
        self._end = util.Finalize(self, _end, args=(self._members,), exitpriority=10)
        file = NamelessFile()
        try:
            context: Any = _context(start_method)
            for share in np.array_split(np.arange(num_envs), min(processes, num_envs)):
                member = _Member.start(context, make_envs, share.tolist(), file)
                self._members.append(member)
                member.limit(max(timeout, _START_SECONDS))
            self._meet(file, timeout)
        except BaseException:
            self.close()
            raise
        finally:
            file.close()

    def _meet(self, file: NamelessFile, timeout: float) -> None:
        """Hear from everyone what they have made, and lay out the memory accordingly."""
        hellos = []
        for member in self._members:
            hello = self._answer(member)
            assert isinstance(hello, Hello)
            hellos.append(hello)
            member.limit(timeout)
        first = hellos[0]
        assert all(hello.observation_shape == first.observation_shape for hello in hellos), "observations differ in shape"
        self.observation_space = first.observation_space
        self.action_space = first.action_space
        self.default_max_episode_steps = first.default_max_episode_steps
        # No policy samples anything wider than 8 bytes a number.
        room = 8 * int(np.prod(self.action_space.shape or ()))
        layout = PoolLayout(self.num_envs, first.observation_shape, max(8, room))
        file.resize(layout.size)
        whole = layout.arrays(file.into_map())
        self.observation = whole.observation
        self.reward = whole.reward
        self.terminated = whole.terminated
        self.truncated = whole.truncated
        self._live = whole.live
        self._room = whole.action
        self._form: ActionForm | None = None
        self._action: NDArray[Any] = whole.action
        for member in self._members:
            member.send(pickle.dumps(layout))

    def reset(self, index: int, seed: int) -> None:
        index = range(self.num_envs)[index]
        member = next(member for member in self._members_open() if index < member.last)
        self._exchange([member], pickle.dumps(("reset", (index - member.first, seed))))

    def step(self, action: NDArray[Any], live: NDArray[np.bool_]) -> bool:
        members = self._members_open()
        if ActionForm.of(action) != self._form:
            self._agree_on(ActionForm.of(action))
        np.copyto(self._action, action)
        np.copyto(self._live, live)
        asked = [member for member in members if live[member.first : member.last].any()]
        return any(self._exchange(asked, STEP))

    def _agree_on(self, form: ActionForm) -> None:
        self._action = form.view(self._room)
        self._form = form
        for member in self._members:
            member.send(pickle.dumps(("action", form)))

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""
        frame: NDArray[np.uint8] = self._exchange(self._members_open()[:1], pickle.dumps(("render", None)))[0]
        return frame

    def close(self) -> None:
        """Close all environments and end their processes, killing those that take too long. The arrays stay readable."""
        self._end()

    def _members_open(self) -> "Sequence[_Member]":
        if not self._members:
            raise WorkerError("this pool of environments is closed")
        return self._members

    def _exchange(self, members: "Sequence[_Member]", request: bytes) -> list[Any]:
        """Ask all, then hear all, in their order."""
        try:
            for member in members:
                member.send(request)
            return [self._answer(member) for member in members]
        except BaseException:  # Ctrl-C too: an answer that is still on its way would be taken for the next one's
            self.close()
            raise

    def _answer(self, member: "_Member") -> Any:
        answer = member.hear()
        if isinstance(answer, Failure):
            if answer.mendable:
                raise ConfigError(answer.text)
            raise WorkerError(f"{member.name(len(self._members))} failed; its traceback:\n{answer.text}")
        if isinstance(answer, _Silence):
            raise WorkerError(f"{member.name(len(self._members))} {answer.cause}")
        return answer


@dataclass(frozen=True)
class _Silence:
    """There was no answer, and there will be none."""

    cause: str


class _Member:
    """One process of the pool, as the main process sees it: environments ``first`` to ``last - 1``."""

    def __init__(self, first: int, last: int, process: BaseProcess, pipe: Connection, lifeline: Connection) -> None:
        self.first, self.last = first, last
        self.process = process
        self._pipe = pipe
        self._lifeline = lifeline

    @classmethod
    def start(cls, context: Any, make_envs: Callable[..., Environments], share: Sequence[int], file: NamelessFile) -> "_Member":
        """Start the process for this share of the environments."""
        first, last = share[0], share[-1] + 1
        theirs_to_watch, lifeline = context.Pipe(duplex=False)
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(
            target=pool_process.main,
            args=(make_envs, first, last - first, file, theirs_to_watch, theirs),
            name=f"environments-{first}",
            daemon=True,
        )
        try:
            with one_thread_each():
                process.start()
        except BaseException:
            ours.close()
            lifeline.close()
            raise
        finally:
            theirs.close()
            theirs_to_watch.close()
        return cls(first, last, process, ours, lifeline)

    def limit(self, seconds: float) -> None:
        """How long it may take to answer from now on.

        The kernel keeps the limit, which costs nothing a step. It begins anew after a signal, so that processes are not blamed
        for the time that everything stood still (Ctrl-Z).
        """
        self._limit = seconds
        value = struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
        with socket.fromfd(self._pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def send(self, message: bytes) -> None:
        """Say something. Who cannot hear it any more has left its last word in the pipe, for ``hear``."""
        with suppress(OSError):
            self._pipe.send_bytes(message)

    def hear(self) -> Any:
        """The answer; ``_Silence`` when there is none, and then the process is no more."""
        try:
            return self._pipe.recv()
        except BlockingIOError:
            self._kill()
            return _Silence(f"gave no answer for {self._limit:g} s and was killed")
        except (EOFError, OSError):
            self.process.join(1.0)
            exitcode = self.process.exitcode
            if exitcode is not None:
                return _Silence(describe_exit(exitcode))
            self._kill()
            return _Silence("closed its pipe and was killed")

    def name(self, processes: int) -> str:
        """Who it is, in a pool of so many ``processes``."""
        which = f"environment {self.first}" if self.last - self.first == 1 else f"environments {self.first} to {self.last - 1}"
        return f"the process of {which} (process id {self.process.pid}, one of {processes})"

    def forget(self) -> None:
        """End it if it lives, and let go of it."""
        self._kill()
        self._pipe.close()
        self._lifeline.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            self.process.close()

    def _kill(self) -> None:
        self.process.kill()
        self.process.join(1.0)


def _end(members: list[_Member]) -> None:
    """Tell all to end, wait a little for all together, kill who is left."""
    deadline = time.monotonic() + _END_SECONDS
    for member in members:
        member.send(CLOSE)
    for member in members:
        member.process.join(max(0.0, deadline - time.monotonic()))
    for member in members:
        member.process.kill()  # all at once, then each is waited for
    for member in members:
        member.forget()
    members.clear()


def _context(start_method: str) -> Any:
    if start_method == "forkserver":
        from multiprocessing import forkserver

        multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOAD)  # one that already runs stays as it is
        with one_thread_each():
            forkserver.ensure_running()
    return multiprocessing.get_context(start_method)
