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

    system, memory = f"{platform.system()} {platform.release()}", round(psutil.virtual_memory().total / 2**30, 1)
    return {"system": system, "cpu": cpu_model(), "cores": usable_cores(), "memory_gib": memory}


def package_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """The versions of Python and of ``packages``; ``None`` for one that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version(), **dict.fromkeys(packages)}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def git_commit() -> dict[str, Any] | None:
    """The commit of the code that runs and whether it was changed since; ``None`` where git does not tell."""
    commit, changes = git_output("rev-parse", "HEAD"), git_output("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)} if commit else None


def git_output(*arguments: str) -> str | None:
    """What git says about the code that runs; ``None`` where it lies in no repository of its own, or git fails."""
    try:
        return _git(*arguments)
    except (OSError, subprocess.SubprocessError):
        return None


def git_problem() -> str | None:
    """Why git does not tell the commit, in one line; ``None`` if it does, or the code lies in no repository of its own."""
    try:
        _git("rev-parse", "HEAD")
    except FileNotFoundError:
        return "git is not installed"
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.decode(errors="replace").splitlines()]
        mend = [f". Try {line}" for line in lines if line.startswith("git config")]
        return "".join([*lines[:1], *mend])
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


def _git(*arguments: str) -> str | None:
    if not (_REPOSITORY / ".git").exists():
        return None
    # Without the lock under which git keeps what it found out for later: one that dies, of a full disk or a signal, leaves it.
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, timeout=10, check=True)
    return done.stdout.decode(errors="replace").strip()


def processor_lines() -> list[str]:
    """What the system says of the processor's model and instruction sets, on which the last bit of a sum may depend."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return [platform.processor()]
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})


def cpu_model() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
