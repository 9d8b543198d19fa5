"""Starting the real command in a process of its own, and looking at what it left."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
QUICK = ("workers=2", "logger=none", "model.actor_hidden=[16]", "model.critic_hidden=[16]")
"""Overrides that make a run small; the budget is the test's own."""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with the repository importable, so that tests may define environments and models."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def start(*arguments: str, module: str = "a3c_exp", cwd: Path) -> "subprocess.Popen[str]":
    """The command, running, in a session of its own so that a test's signals stay inside it."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str, module: str = "a3c_exp", cwd: Path, limit: float = 120) -> "subprocess.CompletedProcess[str]":
    """The command, ended."""
    process = start(*arguments, module=module, cwd=cwd)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


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
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(name.partition(" ")[0]))
    return found
