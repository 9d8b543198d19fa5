"""What a forked command starts itself, without importing anew: its fork server, and commands such as a study's trial workers.

A process waits beside the command since before that began, and knows nothing of it. It becomes the fork server, or forks the
commands; these are children of the command that started them, and may start others in the same way.
"""

import atexit
import ctypes
import fcntl
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_IMPORTED_WITH = os.environ.get("PYTHONPATH")  # a command with another path may import something else


def run_command(request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """Take on the streams, folder, variables and arguments of a command, run it, and end as a process does, but for the second
    that clearing all those modules takes."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    # Anew, since what a stream is cannot change for Python: a terminal has no position.
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # type: ignore[misc]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # another TMPDIR, perhaps
    sys.path[0] = request["cwd"]
    _die_if_told()
    beside = _Beside()
    for number in request["closed"]:
        beside.close()  # programs that this command starts shall inherit what took the number
        os.close(number)
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)
    sys.argv[:] = request["argv"]
    returncode = 0
    try:
        runpy.run_module(request["argv"][0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        returncode = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        returncode = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream_object in (sys.stdout, sys.stderr):
        if stream_object is not None:
            stream_object.flush()
    beside.close()
    os._exit(returncode)


def _die_if_told() -> None:
    """``DEATHS``: a study's worker takes a file out of this folder, if there is one, and ends as soon as it is started with the
    exit code that is its name up to a dot, or by SIGKILL."""
    if "DEATHS" in os.environ and "A3C_TRIAL_WORKER" in os.environ:
        for file in Path(os.environ["DEATHS"]).iterdir():
            file.unlink()
            kind = file.name.partition(".")[0]
            os.kill(os.getpid(), signal.SIGKILL) if kind == "SIGKILL" else os._exit(int(kind))


class _Beside:
    """The process that waits beside this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            _wait_for_orders(theirs)
        theirs.close()
        self._spawn_anew, self._fork_anew = util.spawnv_passfds, subprocess._fork_exec  # type: ignore[attr-defined]
        util.spawnv_passfds = self._spawn  # type: ignore[attr-defined]
        subprocess._fork_exec = self._fork  # type: ignore[attr-defined]

    def _spawn(self, path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        """What multiprocessing starts its programs by: descriptors keep their numbers, and signals stay blocked."""
        code = str(args[-1])
        if self._socket.fileno() < 0 or not code.startswith("from multiprocessing.forkserver "):
            return int(self._spawn_anew(path, args, passfds))
        blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        self._order({"code": code, "passed": list(passfds), "env": dict(os.environ), "blocked": blocked}, passfds)
        self._socket.close()
        return self._pid

    def _fork(self, *arguments: Any) -> int:
        """What ``subprocess`` starts programs by, in the order of its arguments."""
        argv, variables, cwd = arguments[0], dict(os.environ), arguments[4]
        if arguments[5] is not None:
            variables = dict(os.fsdecode(line).split("=", 1) for line in arguments[5])
        ours = argv[:2] == [sys.executable, "-m"] and argv[2].startswith("a3c_exp")
        if self._socket.fileno() < 0 or not ours or variables.get("PYTHONPATH") != _IMPORTED_WITH:
            return int(self._fork_anew(*arguments))
        streams = [given if given >= 0 else own for own, given in enumerate((arguments[6], arguments[9], arguments[11]))]
        order = {"argv": argv[2:], "cwd": os.fsdecode(cwd or Path.cwd()), "env": variables}
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # so that its orphan becomes this process's child
        self._order({**order, "closed": (), "session": arguments[15], "group": arguments[16]}, streams)
        pid = int(self._socket.recv(64))
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0)
        return pid

    def _order(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        socket.send_fds(self._socket, [json.dumps(order).encode() + b"\n"], descriptors)

    def close(self) -> None:
        """End it, unless it has become a fork server, which ends after this process."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            os.waitpid(self._pid, 0)


def _wait_for_orders(connection: socket.socket) -> NoReturn:
    """Fork the commands, or run the code of a fork server, that the command orders; end with it."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}  # they are not for what is not there yet
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        while data and not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        if not data:
            os._exit(0)
        order = json.loads(data)
        if "code" in order:
            connection.close()
            _become_fork_server(order, descriptors, before)
        pid = _fork_orphan(order, descriptors)
        if pid == 0:
            connection.close()
            for number, handler in before.items():
                signal.signal(number, handler)
            run_command(order, descriptors)
        connection.sendall(str(pid).encode())
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_orphan(order: Mapping[str, Any], descriptors: Sequence[int]) -> int:
    """Fork a process whose parent ends at once; returns 0 in it."""
    reading, writing = os.pipe()
    if (between := os.fork()) == 0:
        if os.fork() != 0:
            os._exit(0)
        if order["session"]:
            os.setsid()
        if order["group"] >= 0:
            os.setpgid(0, order["group"])
        os.write(writing, str(os.getpid()).encode())
        os.close(reading)
        os.close(writing)
        return 0
    os.close(writing)
    os.waitpid(between, 0)
    with os.fdopen(reading) as file:
        return int(file.read())


def _become_fork_server(order: Mapping[str, Any], descriptors: Sequence[int], handlers: Mapping[int, Any]) -> NoReturn:
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
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.argv[:] = ["-c"]
    try:
        exec(order["code"], {})
    except SystemExit:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)
