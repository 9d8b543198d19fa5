"""Commands without their seconds of imports: each is forked from a process that has imported torch, gymnasium and Hydra.

It is a real process in a session of its own, with its own streams, folder, signals and exit. The fork server that it starts for
its workers is not imported anew either: it becomes one that has waited beside it since before the command began, and knows
nothing of it. A test of what happens while a command imports starts it the ordinary way (``tests.support.command.start_anew``).
"""

import atexit
import fcntl
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from typing import IO, Any, NoReturn

PRELOADED = (
    "gymnasium", "hydra", "optuna", "rich.live", "torch", "a3c_exp.training.build", "a3c_exp.training.trainer",
    "a3c_exp.envs.gymnasium", "a3c_exp.parallelism.hogwild.worker", "a3c_exp.parallelism.parameter_server.server",
    "a3c_exp.parallelism.parameter_server.worker", "a3c_exp.parallelism.seed_processes.worker_process",
)  # fmt: skip


class ForkServer:
    """The process that commands are forked from."""

    def __init__(self, root: Path) -> None:
        self._socket, theirs = socket.socketpair()
        self._received = b""
        self._returncodes: dict[int, int] = {}
        self._started: list[int] = []
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        variables = {**os.environ, "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(command, cwd=root, env=variables, pass_fds=[theirs.fileno()])
        theirs.close()

    def start(self, module: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], out: int, err: int) -> int:
        """``python -m module`` with these arguments; returns its process id.

        Args:
            out, err: file descriptors of its streams.
        """
        request = json.dumps({"argv": [module, *arguments], "cwd": str(cwd), "env": dict(env)}).encode()
        socket.send_fds(self._socket, [len(request).to_bytes(8, "big") + request], [out, err])
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


def _serve(connection: socket.socket) -> tuple[str, "_FutureForkServer"] | None:
    """Fork a command for each request; returns in each fork, with the module to run and the process beside it, and
    at the end, with ``None``."""
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
            return None
        size = int.from_bytes(data[:8], "big")
        while len(data) < 8 + size:
            data += connection.recv(1 << 20)
        request = json.loads(data[8:])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            connection.close()
            beside = _become(request, *descriptors)
            return str(request["argv"][0]), beside
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


def _become(request: Mapping[str, Any], out: int, err: int) -> "_FutureForkServer":
    """Take on the session, streams, folder, variables and arguments of the command, with a process beside it."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(out, err) + 1)
    # Anew, since what a stream is cannot change for Python: a terminal has no position.
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # type: ignore[misc]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # another TMPDIR, perhaps
    sys.path[0] = request["cwd"]
    beside = _FutureForkServer()
    sys.argv[:] = request["argv"]
    return beside


class _FutureForkServer:
    """A process that waits to become the fork server of the command that it was forked from before that began."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            _wait_to_serve(theirs)
        theirs.close()
        self._spawn_anew = util.spawnv_passfds  # type: ignore[attr-defined]
        util.spawnv_passfds = self._spawn  # type: ignore[attr-defined]

    def _spawn(self, path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        """What multiprocessing starts its programs by: descriptors keep their numbers, and signals stay blocked."""
        code = str(args[-1])
        if self._socket.fileno() < 0 or not code.startswith("from multiprocessing.forkserver "):
            return int(self._spawn_anew(path, args, passfds))
        blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        order = {"code": code, "passed": list(passfds), "env": dict(os.environ), "blocked": blocked}
        socket.send_fds(self._socket, [json.dumps(order).encode() + b"\n"], passfds)
        self._socket.close()
        return self._pid

    def close(self) -> None:
        """End it, unless it has become a fork server, which ends after this process."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            os.waitpid(self._pid, 0)


def _wait_to_serve(connection: socket.socket) -> NoReturn:
    """Run the code of a fork server once the command says so; end with the command if it never does."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}  # they are not for what is not there yet
    data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while data and not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    connection.close()
    if not data:
        os._exit(0)
    order = json.loads(data)
    free = 1 + max(*order["passed"], *descriptors)
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, free) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(moved, order["passed"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["env"])
    signal.pthread_sigmask(signal.SIG_SETMASK, order["blocked"])
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.argv[:] = ["-c"]
    try:
        exec(order["code"], {})
    except SystemExit:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def main() -> None:
    """Import, then serve; a fork ends as a process does, but for the second that clearing all those modules takes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        __import__(name)
    from a3c_exp.config.compose import compose_jobs

    compose_jobs([], multirun=False)  # Hydra looks for its plugins, and its parsers fill their tables
    gc.collect()
    gc.freeze()  # the collector leaves what was imported alone, so that its pages stay shared
    if (served := _serve(connection)) is None:
        return
    module, beside = served
    returncode = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        returncode = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        returncode = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    beside.close()
    os._exit(returncode)


if __name__ == "__main__":
    main()
