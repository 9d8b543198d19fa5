"""K environments spread over processes, for environments whose step is slow, with the interface of a batch in this process.

Observations, rewards, flags and actions lie in shared memory; a step is one message of a few bytes to each process that has an
active environment, and one back. Replies are read in the order of the environments, so nothing depends on which is first.
"""

import os
import pickle
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe, reduction, util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool.shared_memory import create_shared_memory, map_arrays, pool_layout, view_actions
from a3c_exp.envs.process_pool.worker import CLOSE, STEP, Failure, Handshake, main
from a3c_exp.system.child_process import ChildProcess, StartMethod, describe_exit, end_all, prepare_start
from a3c_exp.system.errors import ConfigError, WorkerError

_PRELOAD = ["a3c_exp.envs.process_pool.worker", "a3c_exp.envs.gymnasium"]
"""What a fork server imports once for all processes, if the pool is the first to need one. No torch."""
_START_TIMEOUT = 120.0
"""How long making environments may take, unless the timeout is longer: imports on a busy machine are no hang."""
_CLOSE_TIMEOUT = 5.0
"""How long processes may take to close their environments before they are killed."""


class SubprocessEnvs(EnvBatch):
    """K environments in worker processes, with the same bits as K environments in one process.

    That holds for environments that are alike, independent of each other and draw random numbers only from their episode's
    seed. The arrays are overwritten in place; what their reader writes into a row stays until that environment is stepped or
    reset.

    Args:
        make_envs: called in each process with ``num_envs`` for its share; picklable.
        processes: how many; never more than environments. Each has a contiguous share, as ``numpy.array_split`` gives them.
        timeout: seconds within which a process must answer to a step or a reset; it has two minutes at least to make them.

    Raises:
        ConfigError: a value is out of its range, or ``make_envs`` raised one in a process.
        EnvInterfaceError: an environment returned what it must not; ``index`` is that of the whole pool.
        WorkerError: an environment raised, its process died or did not answer in time: here, in ``step``, ``reset`` and
            ``render``. All processes are ended then, and the pool stays closed.
    """

    def __init__(
        self,
        make_envs: Callable[..., EnvBatch],
        num_envs: int,
        processes: int,
        timeout: float = 60.0,
        start_method: StartMethod = "forkserver",
    ) -> None:
        if num_envs < 1 or processes < 1 or not 0 < timeout < 1e9:
            raise ConfigError(
                f"a pool of environments was given num_envs={num_envs}, processes={processes} and timeout={timeout:g} seconds, "
                "but each is above 0. Try num_envs=2 processes=2 timeout=60"
            )
        prepare_start(start_method, _PRELOAD)
        self.num_envs = num_envs
        self._processes: list[_EnvProcess] = []
        # At exit this comes before multiprocessing's own end, which waits without a limit; in a forked copy it does nothing.
        self._finalizer = util.Finalize(self, _close_processes, args=(self._processes,), exitpriority=10)
        try:
            for share in np.array_split(np.arange(num_envs), min(processes, num_envs)):
                self._processes.append(_EnvProcess(make_envs, share.tolist(), start_method, min(processes, num_envs)))
                self._processes[-1].set_timeout(max(timeout, _START_TIMEOUT))
            handshakes: list[Handshake] = [process.receive_reply() for process in self._processes]
            for process in self._processes:
                process.set_timeout(timeout)
            self._share_memory(handshakes)
        except BaseException:
            self.close()
            raise

    def _share_memory(self, handshakes: Sequence[Handshake]) -> None:
        """Lay out the memory for the environments that the processes have made."""
        first = handshakes[0]
        assert all(other.observation_kind == first.observation_kind for other in handshakes), "observations differ in shape"
        self.observation_space = first.observation_space
        self.action_space = first.action_space
        self.default_max_episode_steps = first.default_max_episode_steps
        # No policy samples anything wider than 8 bytes a number.
        layout = pool_layout(self.num_envs, first.observation_kind, 8 * max(1, int(np.prod(self.action_space.shape or ()))))
        descriptor = create_shared_memory(layout.itemsize)
        try:
            arrays = map_arrays(descriptor, layout)
            for process in self._processes:
                process.send(("memory", layout))
                with suppress(OSError):
                    reduction.send_handle(process.pipe, descriptor, process.pid)
        finally:
            os.close(descriptor)
        self.observation, self.reward = arrays["observation"], arrays["reward"]
        self.terminated, self.truncated = arrays["terminated"], arrays["truncated"]
        self.life_lost = arrays["life_lost"] if first.has_lives else None
        self.episode_info = self._episode_info if first.has_episode_info else None
        self._active, self._action_buffer = arrays["active"], arrays["action"]
        self._action_format: tuple[str, tuple[int, ...]] | None = None

    def reset(self, index: int, seed: int) -> None:
        process, own = self._place(index)
        self._request([process], pickle.dumps(("reset", (own, seed))))

    def _episode_info(self, index: int) -> Mapping[str, float]:
        process, own = self._place(index)
        info: Mapping[str, float] = self._request([process], pickle.dumps(("episode_info", own)))[0]
        return info

    def _place(self, index: int) -> "tuple[_EnvProcess, int]":
        """The process of an environment, and its index there."""
        index = range(self.num_envs)[index]
        process = next(process for process in self._open_processes() if index < process.last)
        return process, index - process.first

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        processes = self._open_processes()
        action_format = action.dtype.str, action.shape[1:]
        if action_format != self._action_format:
            self._action = view_actions(self._action_buffer, *action_format)
            self._action_format = action_format
            for process in self._processes:
                process.send(("action", action_format))
        np.copyto(self._action, action)
        np.copyto(self._active, active)
        stepping = [process for process in processes if active[process.first : process.last].any()]
        return any(self._request(stepping, STEP))

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment, if made with ``render_mode="rgb_array"``."""
        frame: NDArray[np.uint8] = self._request(self._open_processes()[:1], pickle.dumps(("render", None)))[0]
        return frame

    def close(self) -> None:
        """Close all environments and end their processes, killing those that take too long. The arrays stay readable."""
        self._finalizer()

    def _open_processes(self) -> "list[_EnvProcess]":
        if not self._processes:
            raise WorkerError("this pool of environments is closed. Make another one")
        return self._processes

    def _request(self, processes: "Sequence[_EnvProcess]", request: bytes) -> list[Any]:
        """Send a request to these processes, then receive their replies, in order."""
        try:
            for process in processes:
                process.send_bytes(request)
            return [process.receive_reply() for process in processes]
        except BaseException:  # Ctrl-C too: a reply that is still on its way would be taken for the next one's
            self.close()
            raise


class _EnvProcess(ChildProcess):
    """One of the ``num_processes`` of the pool, as the main process sees it: environments ``first`` to ``last - 1``."""

    def __init__(
        self, make_envs: Callable[..., EnvBatch], indices: Sequence[int], start_method: StartMethod, num_processes: int
    ) -> None:
        self.first, self.last = indices[0], indices[-1] + 1
        child_lifeline, self._lifeline = Pipe(duplex=False)
        with child_lifeline:
            arguments = make_envs, self.first, len(indices), child_lifeline
            super().__init__(main, arguments, start_method, f"environments-{self.first}")
        which = f"environment {self.first}" if len(indices) == 1 else f"environments {self.first} to {self.last - 1}"
        self._description = f"the process of {which} (process id {self.pid}, one of {num_processes})"

    def set_timeout(self, seconds: float) -> None:
        """How long it may take to answer from now on.

        The kernel keeps the limit, which costs nothing a step. It begins anew after a signal, so that processes are not blamed
        for the time for which everything was suspended (Ctrl-Z).
        """
        self._timeout = seconds
        value = struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
        with socket.fromfd(self.pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as pipe:
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def send_bytes(self, message: bytes) -> None:
        """Send a pickled message; if it has died, the pipe still holds what it sent last, for ``receive_reply``."""
        with suppress(OSError):
            self.pipe.send_bytes(message)

    def receive_reply(self) -> Any:
        """Its reply; an A3CError that it raised, or a WorkerError if it failed, has died or did not answer in time."""
        try:
            reply = self.pipe.recv()
        except BlockingIOError:
            self.kill()
            raise WorkerError(
                f"{self._description} gave no answer for {self._timeout:g} s and was killed. If a step may take that long, try "
                "parallelism.env_processes=0, which waits for it"
            ) from None
        except (EOFError, OSError):
            self.join(1.0)
            cause = "closed its pipe and was killed" if self.exitcode is None else describe_exit(self.exitcode)
            self.kill()
            raise WorkerError(f"{self._description} {cause}") from None
        if isinstance(reply, Failure):
            if reply.error is not None:
                raise reply.error
            raise WorkerError(f"{self._description} failed. Mend what its traceback shows:\n{reply.text}")
        return reply

    def close(self) -> None:
        super().close()
        self._lifeline.close()


def _close_processes(processes: list[_EnvProcess]) -> None:
    """Ask all to end, wait a little for all together, kill those that are left."""
    for process in processes:
        process.send_bytes(CLOSE)
    end_all(processes, _CLOSE_TIMEOUT)
    for process in processes:
        process.close()
    processes.clear()
