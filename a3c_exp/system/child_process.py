"""Child processes of every kind: how they start, report, count as hung, are killed, and how their end is put into words."""

import ctypes
import errno
import multiprocessing
import os
import pickle
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, TypeVar

from a3c_exp.system.errors import ConfigError, explain_os_error, refused_by_system
from a3c_exp.system.process_setup import single_thread_environment
from a3c_exp.system.signals import blocked, exit_if_stopped

StartMethod = Literal["forkserver", "spawn"]
HEARTBEAT_SECONDS = 5.0
"""How often a child that has nothing to report sends a heartbeat."""
_STARTUP_TIMEOUT = 60.0
"""Seconds to a child's first heartbeat, unless its timeout is longer anyway: imports on a busy machine are no hang."""
_PR_SET_PDEATHSIG = 1
_MARK = "A3C_EXP_CHILD"
"""A variable that tells apart what a child has started."""
_forking_process = 0  # the last that forked: in a child, its parent


class Heartbeat:
    """The child is alive: a step of its environment or compiling may take longer than silence is allowed to."""


@dataclass(frozen=True)
class Crash:
    """The child raised: its traceback."""

    text: str


def prepare_start(start_method: str, preload: Sequence[str]) -> None:
    """Start the fork server if children need it; a ConfigError for ``fork``, which copies threads' locks, or another word."""
    if start_method not in ("forkserver", "spawn"):
        raise ConfigError(f"start_method={start_method}, but it is forkserver or spawn. Try start_method=forkserver")
    if start_method == "forkserver":
        start_fork_server(preload)


def start_fork_server(preload: Sequence[str]) -> None:
    """Start the server that forkserver children are forks of, which imports ``preload`` once; of no effect once it runs."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["a3c_exp.system.fork_server", *preload])
    with single_thread_environment(), blocked():
        forkserver.ensure_running()


def describe_exit(exitcode: int) -> str:
    """How a process ended, to go behind its name in a sentence; a negative ``exitcode`` is a signal's."""
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    with suppress(ValueError):  # real-time signals have no name
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"was killed by signal {-exitcode}"


class HeartbeatTimer:
    """How many seconds children may be silent, without the time for which this process itself was suspended: after Ctrl-Z and
    ``fg`` no child has sent a heartbeat for long, and none is dead, so all get the whole time again."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._last_check = self._awake_since = time.monotonic()

    def check(self) -> None:
        """Note that this process runs: to be called each time before children are asked for their cause of death."""
        now = time.monotonic()
        if now - self._last_check > self._timeout / 2:
            self._awake_since = now
        self._last_check = now

    def exceeded(self, child: "ChildProcess") -> float | None:
        """The limit that a child's silence has exceeded, in seconds, if any."""
        limit = self._timeout if child.last_heartbeat > child.started else max(self._timeout, _STARTUP_TIMEOUT)
        silent = time.monotonic() - max(child.last_heartbeat, child.started, self._awake_since)
        return limit if silent >= limit else None


def _run_child(mark: str, target: Callable[..., None], *args: Any) -> None:
    """The whole life of a child. Its own children end with it; Python, which does not see to that, forbids them to daemons."""
    os.environ[_MARK] = mark
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    os.register_at_fork(before=_note_forking_process, after_in_child=_end_with_parent)
    try:
        target(*args)
    except Exception as error:
        if (refused := refused_by_system(error)) is None:
            raise
        raise SystemExit(explain_os_error(refused)) from None
    finally:
        end_children()


def _note_forking_process() -> None:
    global _forking_process
    _forking_process = os.getpid()


def _end_with_parent() -> None:
    with suppress(AttributeError, OSError):  # where there is no such call, children of a process that is killed live on
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _forking_process:  # the parent had been killed by then
            os.kill(os.getpid(), signal.SIGKILL)


def end_children() -> None:
    """Kill the children that this process has started by ``multiprocessing`` and not ended."""
    for child in multiprocessing.active_children():
        child.kill()


def _kill_marked(mark: str) -> None:
    """Kill the programs that a child has started and could not end; what it has forked has ended with it."""
    import psutil  # here, because most commands have no children

    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it is another user's, or has just ended
            if process.environ().get(_MARK) == mark:
                process.kill()


class ChildProcess:
    """A function that runs in a process of its own, with a pipe to it: ``target`` gets ``args``, which are picklable, and its
    end of the pipe. A ``daemon`` ends with this process even where an unforeseen exception ends that."""

    started = last_heartbeat = 0.0  # in monotonic seconds; 0 before the first heartbeat, and every message is one
    last_output = ""  # the traceback of a child that crashed

    def __init__(
        self, target: Callable[..., None], args: tuple[Any, ...], start_method: StartMethod, name: str, daemon: bool = True
    ) -> None:
        context: Any = multiprocessing.get_context(start_method)
        self.pipe, child_pipe = multiprocessing.Pipe()
        self._mark = secrets.token_hex(8)
        whole = (self._mark, target, *args, child_pipe)
        self.process: Any = context.Process(target=_run_child, args=whole, name=name, daemon=daemon)
        with child_pipe, single_thread_environment():
            try:
                self.process.start()
            except EOFError:  # the fork server's fork was refused, which has ended it, or a signal to the whole group has
                exit_if_stopped()
                raise OSError(errno.EAGAIN, "no process could be started") from None
        # At exit this comes before multiprocessing's own end, which sends a signal that children leave to their parent.
        self._at_exit = util.Finalize(None, self.process.kill, exitpriority=5) if daemon else None
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def exitcode(self) -> int | None:
        """Its exit code, minus the number of the signal that killed it, or ``None`` while it runs."""
        code: int | None = self.process.exitcode
        return code

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self.process.join(timeout)

    @property
    def waitables(self) -> list[Any]:
        """What becomes ready when it sends something or ends."""
        return [self.process.sentinel, *([] if self.pipe.closed else [self.pipe])]

    def send(self, message: Any) -> None:
        """Send a message; one that has died cannot take it, and its exit code shows that."""
        with suppress(OSError):
            self.pipe.send(message)

    def messages(self) -> Iterator[Any]:
        """The messages that have arrived, without those that are about the process itself."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                message = self.pipe.recv()
                self.last_heartbeat = time.monotonic()
                if isinstance(message, Crash):
                    self.last_output = message.text
                elif not isinstance(message, Heartbeat):
                    yield message
        except Exception:  # its end, or half a message of one that was killed: its exit code says which
            self.pipe.close()

    def cause_of_death(self, timer: HeartbeatTimer) -> str | None:
        """How it ended, to go behind its name in a sentence; ``None`` while it runs. One that hangs is killed first."""
        if self.exitcode is not None:
            return describe_exit(self.exitcode)
        if (limit := timer.exceeded(self)) is None:
            return None
        self.kill()
        return f"gave no sign of life for {limit:g} s and was killed"

    def send_signal(self, number: int) -> None:
        if self.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it now, and wait a little until it is gone."""
        self.process.kill()
        self.join(1.0)

    def close(self) -> None:
        """Kill it if it still runs, what it has started too, and release what belongs to it."""
        self.kill()
        if self.exitcode != 0:
            _kill_marked(self._mark)
        self.pipe.close()
        if self._at_exit is not None:
            self._at_exit.cancel()
        with suppress(ValueError):  # it was killed, but the kernel is not done with it yet
            self.process.close()


class ChildCommand(ChildProcess):
    """A command that runs in a process of its own. Its standard input is its end of the pipe, which ends with this process."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.pipe, child_pipe = multiprocessing.Pipe()
        with child_pipe:
            self.process: Any = subprocess.Popen(command, stdin=child_pipe.fileno(), **options)
        self.started = time.monotonic()

    @property
    def exitcode(self) -> int | None:
        code: int | None = self.process.poll()
        return code

    def join(self, timeout: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)

    def close(self) -> None:
        self.kill()
        self.pipe.close()


Child = TypeVar("Child", bound=ChildProcess)


def wait_for_any(children: Iterable[Child], timeout: float) -> list[Child]:
    """Wait until a child sends something or ends; returns those that did."""
    owners = {source: child for child in children for source in child.waitables}
    return list(dict.fromkeys(owners[source] for source in wait(list(owners), timeout)))


def end_all(children: Sequence[ChildProcess], timeout: float, meanwhile: Callable[[float], object] = time.sleep) -> None:
    """Wait ``timeout`` seconds for children that were asked to end, ``meanwhile`` given seconds to use, then kill the rest."""
    deadline = time.monotonic() + timeout
    while (running := [child for child in children if child.exitcode is None]) and time.monotonic() < deadline:
        meanwhile(0.02)
    for child in running:
        child.process.kill()  # all at once, then each is waited for
    for child in running:
        child.join(1.0)


class ParentPipe:
    """A child's end of its pipe, which several threads may write to."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Send a message; an OSError says that the parent is gone."""
        # Pickled here: a connection of its own accord would send tensors as open files, which end with this process.
        content = pickle.dumps(message)
        with self._lock:
            self.pipe.send_bytes(content)

    def send_heartbeats(self) -> None:
        """Have a thread send them for as long as there is a parent."""

        def send_until_parent_exits() -> None:
            with suppress(OSError):
                while True:
                    time.sleep(HEARTBEAT_SECONDS)
                    self.send(Heartbeat())

        threading.Thread(target=send_until_parent_exits, name="heartbeats", daemon=True).start()
