"""Commands without their seconds of imports: each is forked from a process that has imported torch, gymnasium and Hydra.

It is a real process in a session of its own, with its own streams, folder, signals and exit. What it starts itself is not
imported anew either (``tests.support.forked_children``). A test of what happens while a command imports starts it the ordinary
way (``tests.support.command.start_anew``).
"""

import functools
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.support.forked_children import run_command

PRELOADED = (
    "gymnasium", "hydra", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.figure",
    "multiprocessing.popen_forkserver", "optuna", "psutil", "rich.live", "torch", "torch.utils.serialization.config",
    "a3c_exp.envs.classic_control", "a3c_exp.envs.gymnasium", "a3c_exp.envs.tensor.batch", "a3c_exp.envs.tensor.cartpole",
    "a3c_exp.envs.tensor.pendulum", "a3c_exp.loggers.console", "a3c_exp.loggers.jsonl", "a3c_exp.models.shared_mlp",
    "a3c_exp.optimizers.adam", "a3c_exp.parallelism.deterministic.strategy", "a3c_exp.parallelism.hogwild.strategy",
    "a3c_exp.parallelism.hogwild.worker", "a3c_exp.parallelism.parameter_server.server",
    "a3c_exp.parallelism.parameter_server.worker", "a3c_exp.parallelism.seed_processes.strategy",
    "a3c_exp.parallelism.seed_processes.worker_process", "a3c_exp.parallelism.single_process.synchronous",
    "a3c_exp.report.builder", "a3c_exp.sweep.planned.batches", "a3c_exp.sweep.planned.resume",
    "a3c_exp.sweep.study.overrides", "a3c_exp.training.build", "a3c_exp.training.cli", "a3c_exp.training.resume",
    "a3c_exp.training.run", "a3c_exp.training.saved_weights", "a3c_exp.training.trainer",
)  # fmt: skip
_SHARED = "A3C_TEST_COMMANDS"
"""The variable that says where tests which run in several processes find the process that all their commands come from."""
_CHOICE = re.compile(
    r"\+?(ablation|arm|control|env|experiment|hydra/launcher|hydra/sweeper|logger|model|optimizer|parallelism|study)=\w+"
)


def share(root: Path) -> Callable[[], None]:
    """Have the fork servers of all processes that this one starts forked from one, so that one imports for all.

    Returns:
        what ends that one.
    """
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # the kernel finds a name that nobody has
        listening.listen()
        lifeline, process = _start(root, listening)
        os.environ[_SHARED] = listening.getsockname()[1:].decode()

    def end() -> None:
        os.environ.pop(_SHARED)
        lifeline.close()
        process.wait()

    return end


def _start(root: Path, *others: socket.socket) -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """This module as a program, which is given one end of a pair of sockets and the others."""
    ours, theirs = socket.socketpair()
    with theirs:
        numbers = [theirs.fileno(), *(other.fileno() for other in others)]
        command, variables = [sys.executable, "-m", __name__, *map(str, numbers)], {**os.environ, "PYTHONPATH": str(root)}
        # The person who runs the tests may have a terminal, but commands have none that they could read.
        return ours, subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=root, env=variables, pass_fds=numbers)


class ForkServer:
    """The process that commands are forked from."""

    def __init__(self, root: Path) -> None:
        self._received = b""
        self._returncodes: dict[int, int] = {}
        self._started: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        if shared := os.environ.get(_SHARED):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(b"\0" + shared.encode())
        else:
            self._socket, self._process = _start(root)

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        streams: tuple[int, int],
        closed: Sequence[int] = (),
    ) -> int:
        """``python -m module`` with these arguments; returns its process id.

        Args:
            streams: file descriptors of its output and its errors.
            closed: numbers of the standard streams that it does not have.
        """
        order = {"argv": [module, *arguments], "cwd": str(cwd), "env": dict(env), "closed": list(closed)}
        request = json.dumps(order).encode()
        socket.send_fds(self._socket, [len(request).to_bytes(8, "big") + request], streams)
        while not self._started:
            self._listen(None)
        return self._started.pop()

    def wait(self, pid: int, timeout: float | None) -> int | None:
        """The exit code of a command, negative for a signal; ``None`` if it still runs after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while pid not in self._returncodes:
            if not self._listen(None if deadline is None else max(0.0, deadline - time.monotonic())):
                return None
        return self._returncodes[pid]

    def _listen(self, timeout: float | None) -> bool:
        """Take in what the server says within the timeout; false if it says nothing."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return False
        if not (data := self._socket.recv(1 << 16)):
            raise RuntimeError("the process that commands are forked from has ended")
        *messages, self._received = (self._received + data).split(b"\n")
        for message in map(json.loads, messages):
            if "returncode" in message:
                self._returncodes[message["pid"]] = message["returncode"]
            else:
                self._started.append(message["pid"])
                self._returncodes.pop(message["pid"], None)  # numbers are given out again
        return True

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        if self._process is not None:
            self._process.wait()


class ForkedCommand:
    """A command that was forked, with what tests use of ``subprocess.Popen``.

    Args:
        streams: files of its output and its errors, if they are to be read.
    """

    def __init__(self, server: ForkServer, pid: int, streams: Sequence[IO[bytes]]) -> None:
        self._server, self._streams, self._texts = server, list(streams), ["", ""]
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or ``None`` while it runs."""
        self.returncode = self._server.wait(self.pid, 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote, once it has ended; TimeoutExpired if it has not within ``timeout`` seconds."""
        self.returncode = self._server.wait(self.pid, timeout)
        for index, stream in enumerate(self._streams):
            stream.seek(0)
            self._texts[index] = stream.read().decode()
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0, *self._texts)
        while self._streams:
            self._streams.pop().close()
        return self._texts[0], self._texts[1]

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, once it has ended; TimeoutExpired as from ``communicate``."""
        self.communicate(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve(connection: socket.socket) -> None:
    """Fork a command for each request, until nobody makes one any more."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready = select.select([connection, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 1 << 16)
            _report_ends(connection)
            continue
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            return
        size = int.from_bytes(data[:8], "big")
        while len(data) < 8 + size:
            data += connection.recv(1 << 20)
        request = json.loads(data[8:])
        _compose_options(*request["argv"])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            connection.close()
            os.setsid()
            run_command(request, [0, *descriptors])
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")


def _report_ends(connection: socket.socket) -> None:
    with suppress(ChildProcessError, BrokenPipeError):  # no child is left; or nobody wants to know
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            message = {"pid": pid, "returncode": os.waitstatus_to_exitcode(status)}
            connection.sendall(json.dumps(message).encode() + b"\n")


def _compose_options(module: str, *words: str) -> None:
    """Compose what a run chooses of the built-in options, so that no other that chooses the same composes it again."""
    if module == "a3c_exp":
        _compose(*(word for word in words if _CHOICE.fullmatch(word)))


@functools.cache
def _compose(*choices: str) -> None:
    from a3c_exp.config.compose import compose_jobs

    with suppress(Exception):  # the command itself says what is wrong
        compose_jobs(choices, multirun=False)


def main() -> None:
    """Import, then serve."""
    connection, *listening = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for name in PRELOADED:
        __import__(name)
    _compose()  # Hydra looks for its plugins, and its parsers fill their tables
    gc.collect()
    gc.freeze()  # the collector leaves what was imported alone, so that its pages stay shared
    gc.set_threshold(10_000, 20, 20)  # as in the tests themselves
    if listening:
        connection = _forked(connection, listening[0])
    _serve(connection)
    os._exit(0)  # without the second that clearing all those modules takes


def _forked(lifeline: socket.socket, listening: socket.socket) -> socket.socket:
    """Fork a server for each process that connects, until the lifeline is cut; returns the connection in such a server."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        if lifeline in select.select([lifeline, listening], [], [])[0]:
            os._exit(0)
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, before)
            lifeline.close()
            listening.close()
            return connection
        connection.close()


if __name__ == "__main__":
    main()
