"""Worker processes under supervision: started, listened to, noticed when dead or silent, replaced, and always ended."""

import multiprocessing
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from a3c_exp.system.errors import ConfigError, WorkerError
from a3c_exp.system.process_setup import describe_exit, single_thread_environment

StartMethod = Literal["forkserver", "spawn"]
_PRELOAD = ["a3c_exp.parallelism.multiprocess.preload"]
_START_SECONDS = 60.0
"""How long a process may take to its first sign of life, unless it has longer anyway: imports on a busy machine are no hang."""


def start_fork_server(extra_modules: Sequence[str] = ()) -> None:
    """Start the fork server now: it imports torch once, beside this process, and every worker is then a fork of it.

    The server never runs a tensor operation, so nothing is forked after torch has used its threads.

    Args:
        extra_modules: further modules for it to import; of no effect once it runs.
    """
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload([*_PRELOAD, *extra_modules])
    with single_thread_environment():
        forkserver.ensure_running()


@dataclass
class SupervisedProcess:
    """One supervised process."""

    index: int
    process: BaseProcess
    pipe: Connection
    started: float
    last_output: str = ""


@dataclass(frozen=True)
class Death:
    """A process is gone that should not be."""

    index: int
    cause: str
    last_output: str


class Supervisor:
    """Keeps a fixed number of processes, each with one pipe to here that only it writes.

    Args:
        target: the process's entry; called with ``arguments(index)`` and the pipe as last argument.
        arguments: what the process with an index is given.
        start_method: forkserver or spawn; never fork.
        heartbeat_timeout: seconds without a heartbeat after which a process counts as dead and is killed; before its first one it has a
            minute at least.
        last_heartbeat: the time of a process's last sign of life, in monotonic seconds, 0 before the first.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Callable[[int], tuple[Any, ...]],
        start_method: StartMethod,
        heartbeat_timeout: float,
        last_heartbeat: Callable[[int], float],
    ) -> None:
        if start_method not in ("forkserver", "spawn"):
            raise ConfigError(
                f"parallelism.start_method is {start_method}, but it is forkserver or spawn. "
                "Try parallelism.start_method=forkserver"
            )
        self._target = target
        self._arguments = arguments
        self._context: Any = multiprocessing.get_context(start_method)
        if start_method == "forkserver":
            start_fork_server()
        self._heartbeat_timeout = heartbeat_timeout
        self._last_heartbeat = last_heartbeat
        self._last_check = self._awake_since = time.monotonic()
        self.processes: dict[int, SupervisedProcess] = {}

    def start(self, index: int) -> None:
        """Start the process with this index, first or anew."""
        ours, theirs = self._context.Pipe(duplex=True)
        # Daemons, so that even a main process that dies by an exception nobody foresaw takes its workers with it.
        process = self._context.Process(
            target=self._target, args=(*self._arguments(index), theirs), name=f"workers-{index}", daemon=True
        )
        with single_thread_environment():
            process.start()
        theirs.close()
        self.processes[index] = SupervisedProcess(index, process, ours, time.monotonic())

    def listen(self, timeout: float) -> Iterator[tuple[int, Any]]:
        """Whatever processes have sent, waiting at most ``timeout`` seconds for the first word."""
        pipes = {member.pipe: member for member in self.processes.values()}
        sentinels = [member.process.sentinel for member in self.processes.values()]
        for ready in wait([*pipes, *sentinels], timeout):
            if isinstance(ready, Connection):
                yield from self._drain(pipes[ready])

    def _drain(self, supervised: SupervisedProcess) -> Iterator[tuple[int, Any]]:
        try:
            while supervised.pipe.poll():
                yield supervised.index, supervised.pipe.recv()
        except (EOFError, OSError):
            pass  # its end shows in its exit code

    def deaths(self) -> list[tuple[Death, list[Any]]]:
        """Processes that have ended or fallen silent since the last call, with what they still had to say."""
        found = []
        now = time.monotonic()
        if now - self._last_check > self._heartbeat_timeout / 2:
            # This process itself was away (Ctrl-Z, a slow disk), and its workers perhaps with it: they get their time again.
            self._awake_since = now
        self._last_check = now
        for member in list(self.processes.values()):
            if member.process.exitcode is None:
                beat = self._last_heartbeat(member.index)
                silence = self._heartbeat_timeout if beat > member.started else max(self._heartbeat_timeout, _START_SECONDS)
                if time.monotonic() - max(beat, member.started, self._awake_since) < silence:
                    continue
                _kill(member.process)
                cause = f"gave no sign of life for {silence:g} s and was killed"
            else:
                cause = describe_exit(member.process.exitcode)
            words = [message for _, message in self._drain(member)]
            found.append((Death(member.index, cause, member.last_output), words))
            self._remove(member)
        return found

    def stop(self, timeout: float, exclude: Collection[int] = ()) -> list[tuple[int, Any]]:
        """Wait at most ``timeout`` seconds for processes that were told to end, then kill; returns their last messages.

        Those with an index in ``exclude`` are listened to, but neither waited for nor killed.
        """
        deadline = time.monotonic() + timeout
        messages: list[tuple[int, Any]] = []
        ending = [member for member in self.processes.values() if member.index not in exclude]
        while time.monotonic() < deadline and any(member.process.exitcode is None for member in ending):
            messages += self.listen(0.02)
            for member in ending:
                member.process.join(0.001)
        for member in ending:
            member.process.kill()  # all at once, then each is waited for
        for member in ending:
            _kill(member.process)
            messages += self._drain(member)
            self._remove(member)
        return messages

    def _remove(self, supervised: SupervisedProcess) -> None:
        supervised.pipe.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            supervised.process.close()
        self.processes.pop(supervised.index, None)


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join(1.0)


def too_many_deaths(deaths: Sequence[Death], allowed: int, process_name: str) -> WorkerError:
    """The error for one death more than a run survives; ``process_name`` names the last."""
    last = deaths[-1]
    words = f"\n{last.last_output.rstrip()}" if last.last_output else ""
    return WorkerError(
        f"{process_name} {last.cause}; that is death {len(deaths)}, and {allowed} are allowed (parallelism.max_restarts){words}"
    )
