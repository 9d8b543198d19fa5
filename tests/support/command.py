"""Starting the real command in a process of its own, and looking at what it left."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.forked_commands import ForkedCommand, ForkServer

ROOT = Path(__file__).parents[2]
QUICK = ("workers=2", "logger=none", "model.actor_hidden=[16]", "model.critic_hidden=[16]")
"""Overrides that make a run small; the budget is the test's own."""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with the repository importable, so that tests may define environments and models."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def start(
    *arguments: str,
    module: str = "a3c_exp",
    cwd: Path,
    output: int | None = None,
    closed: Sequence[int] = (),
    **variables: str,
) -> ForkedCommand:
    """The command, running; in a process of its own that need not import again what all commands import, in a session of its
    own, so that a test's signals stay inside it.

    Args:
        output: a file descriptor that it writes to instead of files that ``communicate`` reads.
        closed: numbers of the standard streams that it does not have.
        variables: environment variables.
    """
    files = [] if output is not None else [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  communicate closes them
    streams = (output, output) if output is not None else (files[0].fileno(), files[1].fileno())
    server = _fork_server()
    return ForkedCommand(server, server.start(module, arguments, cwd, environment(**variables), streams, closed), files)


def start_anew(*arguments: str, module: str = "a3c_exp", cwd: Path, **variables: str) -> "subprocess.Popen[str]":
    """The same as Python starts it, imports included: for what happens meanwhile, and with this process's limits."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@functools.cache
def _fork_server() -> ForkServer:
    server = ForkServer(ROOT)
    atexit.register(server.close)
    return server


def run(*arguments: str, module: str = "a3c_exp", cwd: Path, limit: float = 120) -> "subprocess.CompletedProcess[str]":
    """The command, ended; killed, and an error, if it has not after ``limit`` seconds."""
    process = start(*arguments, module=module, cwd=cwd)
    try:
        out, err = process.communicate(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess([module, *arguments], process.returncode or 0, out, err)


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def record(directory: Path) -> dict[str, Any]:
    """A run directory's run.json."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def summary(directory: Path) -> dict[str, Any]:
    """A run directory's summary.json."""
    content: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return content


def session_members(session: int) -> Sequence[int]:
    """Process ids that still run in a session (zombies left out)."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(name.partition(" ")[0]))
    return members
