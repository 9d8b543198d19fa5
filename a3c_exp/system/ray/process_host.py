"""The inside of a Ray actor that hosts one child process on its node: what that says is kept until the driver has it.

Nothing here imports torch. Every call may be repeated, and arrive late or never: messages have numbers, and are handed out
until the driver says that it has them; of its requests the newest counts. The driver asks all the time. If it has not asked for
``silence_timeout`` seconds it is gone, or the network is, and the child is ended.
"""

import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from a3c_exp.system.child_process import ChildProcess, HeartbeatTimer, start_fork_server
from a3c_exp.system.ray.node import NodeDescription, adopt_arithmetic_environment

_WAIT_SECONDS = 1.0
"""How long a question waits for something new."""


@dataclass(frozen=True)
class HostedProcess:
    """What an actor is given."""

    content: bytes  # a pickled pair: a function, and its arguments before the pipe
    name: str
    preload: Sequence[str]  # what the fork server imports
    working_directory: str  # of the driver; used where there is such a folder
    environment: Mapping[str, str]  # the driver's ``arithmetic_environment``
    expected: NodeDescription  # the driver's machine
    heartbeat_timeout: float  # seconds without a message from the child after which it counts as hung
    silence_timeout: float  # seconds without a question from the driver after which it counts as gone


@dataclass(frozen=True)
class HostReply:
    """What the driver is told.

    Attributes:
        node: the machine.
        node_id: what Ray calls it.
        messages: those that the driver does not have, pickled, each with its number.
        cause: how the child ended, to go behind its name in a sentence; ``None`` while it runs.
        killed: it ended by a signal, or because the driver was silent: for no reason of its own.
        refused: it was not started, because of the node.
    """

    node: NodeDescription
    node_id: str
    pid: int
    messages: Sequence[tuple[int, bytes]]
    cause: str | None
    killed: bool
    refused: bool


def _own_node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


class ProcessHost:
    """The process, and what it has said."""

    def __init__(self, hosted: HostedProcess, node_id: Callable[[], str] = _own_node_id) -> None:
        self._hosted, self._changed = hosted, threading.Condition()
        self._outbox: deque[tuple[int, bytes]] = deque()
        self._number = self._request_number = 0
        self._asked, self._killed = time.monotonic(), False
        self._node, self._node_id = NodeDescription.of_this_machine(), node_id()
        self._cause = self._node.refusal(hosted.expected)
        self._process: ChildProcess | None = None
        self._pid = 0
        if self._cause is not None:
            return
        adopt_arithmetic_environment(hosted.environment)
        with suppress(OSError):
            os.chdir(hosted.working_directory)
        start_fork_server(hosted.preload)
        self._process = ChildProcess(run_pickled, (hosted.content,), "forkserver", hosted.name)
        self._pid = self._process.pid
        threading.Thread(target=self._watch, args=(self._process,), name="child", daemon=True).start()

    def tell(self, number: int, request: bytes) -> None:
        """Hand a pickled request to the child, unless it has had this one or a newer one."""
        with self._changed:
            if number > self._request_number and self._process is not None and self._cause is None:
                self._request_number = number
                with suppress(OSError):  # it has died, which the other thread sees
                    self._process.pipe.send_bytes(request)

    def ask(self, received: int, number: int, request: bytes) -> HostReply:
        """What the driver, which has the messages up to ``received``, does not know yet; waits a second for something. The
        newest request comes along, in case ``tell`` was lost."""
        self.tell(number, request)
        with self._changed:
            while self._outbox and self._outbox[0][0] <= received:
                self._outbox.popleft()
            self._asked = time.monotonic()
            if not self._outbox and self._cause is None:
                self._changed.wait(_WAIT_SECONDS)
            self._asked = time.monotonic()
            refused = self._process is None
            return HostReply(self._node, self._node_id, self._pid, tuple(self._outbox), self._cause, self._killed, refused)

    def _watch(self, process: ChildProcess) -> None:
        timer = HeartbeatTimer(self._hosted.heartbeat_timeout)
        while True:
            wait(process.waitables, _WAIT_SECONDS)
            timer.check()
            cause = process.cause_of_death(timer)  # before the last of its words are read
            contents = list(_contents(process))
            with self._changed:
                for content in contents:
                    self._number += 1
                    self._outbox.append((self._number, content))
                if cause is None and time.monotonic() - self._asked > self._hosted.silence_timeout:
                    process.kill()
                    cause = f"was ended, since nothing was heard of the run for {self._hosted.silence_timeout:g} s"
                    self._killed = True
                if cause is not None:
                    self._killed |= process.exitcode is not None and process.exitcode < 0 and "no sign of life" not in cause
                    self._cause = cause
                if contents or cause is not None:
                    self._changed.notify_all()
                if cause is not None:
                    break
        process.close()


def _contents(process: ChildProcess) -> Iterator[bytes]:
    """What a process has sent, as it was pickled: for the driver to read, who has imported what it is about."""
    try:
        while not process.pipe.closed and process.pipe.poll():
            content = process.pipe.recv_bytes()
            process.last_heartbeat = time.monotonic()
            yield content
    except (OSError, EOFError):  # its end, or half a message of one that was killed
        process.pipe.close()


def run_pickled(content: bytes, pipe: Connection) -> None:
    """The child: what was pickled is imported here alone."""
    target, arguments = pickle.loads(content)
    target(*arguments, pipe)
