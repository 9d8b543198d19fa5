"""Which code, versions and machine a number was measured with."""

import contextlib
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from a3c_exp.system.process_setup import usable_cores

_REPOSITORY = Path(__file__).resolve().parents[2]


def machine_info() -> dict[str, Any]:
    """System, processor, cores that this process may use, and memory."""
    import psutil

    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def package_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """The versions of Python and of ``packages``; ``None`` for one that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        versions[package] = None
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def git_commit() -> dict[str, Any] | None:
    """The commit of the code that runs and whether it was changed since; ``None`` where it lies in no repository of its own."""
    commit = git_output("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git_output("status", "--porcelain"))} if commit else None


def git_output(*arguments: str) -> str | None:
    """What git says about the code that runs; ``None`` where it lies in no repository of its own."""
    if not (_REPOSITORY / ".git").exists():
        return None
    # Without the lock under which git keeps what it found out for later: one that dies, of a full disk or a signal, leaves it.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
