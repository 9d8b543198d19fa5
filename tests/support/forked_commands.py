"""Commands without their seconds of imports: each is forked from a process that has imported torch, gymnasium and Hydra.

It is a real process in a session of its own, with its own streams, folder, signals and exit. A test of what happens while a
command imports starts it the ordinary way (``tests.support.command.start``).
"""

import atexit
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRELOADED = ("gymnasium", "hydra", "optuna", "rich.live", "torch", "a3c_exp.training.build", "a3c_exp.training.trainer")


class ForkServer:
    """The process that commands are forked from, one at a time."""

    def __init__(self, root: Path) -> None:
        ours, theirs = socket.socketpair()
        self._socket, self._messages = ours, ours.makefile("rb")
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
        return int(self._read()["pid"])

    def wait(self) -> int:
        """The exit code of the command, negative for a signal."""
        return int(self._read()["returncode"])

    def _read(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._messages.readline())
        return answer

    def close(self) -> None:
        """End the server."""
        self._messages.close()
        self._socket.close()
        self._process.wait()


def _serve(connection: socket.socket) -> str | None:
    """Fork a command for each request; returns in each fork, with the module to run, and at the end, with ``None``."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            return None
        size = int.from_bytes(data[:8], "big")
        while len(data) < 8 + size:
            data += connection.recv(1 << 20)
        request = json.loads(data[8:])
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(request, *descriptors)
            return str(request["argv"][0])
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        returncode = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(json.dumps({"returncode": returncode}).encode() + b"\n")


def _become(request: Mapping[str, Any], out: int, err: int) -> None:
    """Take on the session, streams, folder, variables and arguments of the command."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(out, err) + 1)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = request["cwd"]
    sys.argv[:] = request["argv"]


def main() -> None:
    """Import, then serve; a fork ends as a process does, but for the second that clearing all those modules takes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        __import__(name)
    gc.freeze()  # the collector leaves what was imported alone, so that its pages stay shared
    if (module := _serve(connection)) is None:
        return
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
    os._exit(returncode)


if __name__ == "__main__":
    main()
