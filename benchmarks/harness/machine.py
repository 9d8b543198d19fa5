"""What a number was measured on: machine, versions, code and date. No host name: results are published."""

import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "numpy", "gymnasium", "hydra-core", "omegaconf", "wandb")


def environment() -> dict[str, Any]:
    """Everything a reader needs to place a result; call it once, before measuring: for the load average."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "git": git(),
    }


def machine() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu() or platform.processor() or platform.machine(),
        "cores": usable,
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        # Other people's work makes every number worse; this says whether there was any when the measurement began.
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git() -> dict[str, Any] | None:
    """The commit that was measured, or ``None`` outside a repository or before its first commit."""
    try:
        commit = _git("rev-parse", "--verify", "HEAD").strip()
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no").strip())}
    except (OSError, subprocess.SubprocessError):
        return None


def command_line() -> str:
    """The command line as a person would type it again."""
    return " ".join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def _cpu() -> str | None:
    return _field(Path("/proc/cpuinfo"), "model name")


def _memory_gb() -> float | None:
    total = _field(Path("/proc/meminfo"), "MemTotal")
    return round(int(total.split()[0]) * 1024 / 1e9, 1) if total else None


def _field(file: Path, name: str) -> str | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)
