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
from a3c_exp.system.process_setup import describe_exit, one_thread_each

StartMethod = Literal["forkserver", "spawn"]
_PRELOAD = ["a3c_exp.parallelism.multiprocess.preload"]
_START_SECONDS = 60.0
"""How long a process may take to its first sign of life, unless it has longer anyway: imports on a busy machine are no hang."""


def warm_up(also: Sequence[str] = ()) -> None:
    """Start the fork server now: it imports torch once, beside this process, and every worker is then a fork of it.

    The server never runs a tensor operation, so nothing is forked after torch has used its threads.

    Args:
        also: further modules for it to import; of no effect once it runs.
    """
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload([*_PRELOAD, *also])
    with one_thread_each():
        forkserver.ensure_running()


@dataclass
class Member:
    """One supervised process."""

    index: int
    process: BaseProcess
    pipe: Connection
    started: float
    last_words: str = ""


@dataclass(frozen=True)
class Death:
    """A process is gone that should not be."""

    index: int
    cause: str
    last_words: str


class Supervisor:
    """Keeps a fixed number of processes, each with one pipe to here that only it writes.

    Args:
        target: the process's entry; called with ``arguments(index)`` and the pipe as last argument.
        arguments: what the process with an index is given.
        start_method: forkserver or spawn; never fork.
        silence: seconds without a heartbeat after which a process counts as dead and is killed; before its first one it has a
            minute at least.
        heartbeat: the time of a process's last sign of life, in monotonic seconds, 0 before the first.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Callable[[int], tuple[Any, ...]],
        start_method: StartMethod,
        silence: float,
        heartbeat: Callable[[int], float],
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
            warm_up()
        self._silence = silence
        self._heartbeat = heartbeat
        self._looked = self._awake = time.monotonic()
        self.members: dict[int, Member] = {}

    def start(self, index: int) -> None:
        """Start the process with this index, first or anew."""
        ours, theirs = self._context.Pipe(duplex=True)
        # Daemons, so that even a main process that dies by an exception nobody foresaw takes its workers with it.
        process = self._context.Process(
            target=self._target, args=(*self._arguments(index), theirs), name=f"workers-{index}", daemon=True
        )
        with one_thread_each():
            process.start()
        theirs.close()
        self.members[index] = Member(index, process, ours, time.monotonic())

    def listen(self, timeout: float) -> Iterator[tuple[int, Any]]:
        """Whatever processes have sent, waiting at most ``timeout`` seconds for the first word."""
        pipes = {member.pipe: member for member in self.members.values()}
        sentinels = [member.process.sentinel for member in self.members.values()]
        for ready in wait([*pipes, *sentinels], timeout):
            if isinstance(ready, Connection):
                yield from self._drain(pipes[ready])

    def _drain(self, member: Member) -> Iterator[tuple[int, Any]]:
        try:
            while member.pipe.poll():
                yield member.index, member.pipe.recv()
        except (EOFError, OSError):
            pass  # its end shows in its exit code

    def deaths(self) -> list[tuple[Death, list[Any]]]:
        """Processes that have ended or fallen silent since the last call, with what they still had to say."""
        found = []
        now = time.monotonic()
        if now - self._looked > self._silence / 2:
            # This process itself was away (Ctrl-Z, a slow disk), and its workers perhaps with it: they get their time again.
            self._awake = now
        self._looked = now
        for member in list(self.members.values()):
            if member.process.exitcode is None:
                beat = self._heartbeat(member.index)
                silence = self._silence if beat > member.started else max(self._silence, _START_SECONDS)
                if time.monotonic() - max(beat, member.started, self._awake) < silence:
                    continue
                _kill(member.process)
                cause = f"gave no sign of life for {silence:g} s and was killed"
            else:
                cause = describe_exit(member.process.exitcode)
            words = [message for _, message in self._drain(member)]
            found.append((Death(member.index, cause, member.last_words), words))
            self._forget(member)
        return found

    def stop(self, limit: float, spare: Collection[int] = ()) -> list[tuple[int, Any]]:
        """Wait at most ``limit`` seconds for processes that were told to end, then kill; returns their last messages.

        Those with an index in ``spare`` are listened to, but neither waited for nor killed.
        """
        deadline = time.monotonic() + limit
        messages: list[tuple[int, Any]] = []
        ending = [member for member in self.members.values() if member.index not in spare]
        while time.monotonic() < deadline and any(member.process.exitcode is None for member in ending):
            messages += self.listen(0.02)
            for member in ending:
                member.process.join(0.001)
        for member in ending:
            member.process.kill()  # all at once, then each is waited for
        for member in ending:
            _kill(member.process)
            messages += self._drain(member)
            self._forget(member)
        return messages

    def _forget(self, member: Member) -> None:
        member.pipe.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            member.process.close()
        self.members.pop(member.index, None)


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join(1.0)


def too_many(deaths: Sequence[Death], allowed: int, who: str) -> WorkerError:
    """The error for one death more than a run survives; ``who`` names the last."""
    last = deaths[-1]
    words = f"\n{last.last_words.rstrip()}" if last.last_words else ""
    return WorkerError(
        f"{who} {last.cause}; that is death {len(deaths)}, and {allowed} are allowed (parallelism.max_restarts){words}"
    )
