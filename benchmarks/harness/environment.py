"""What a number was measured with: machine, versions, code and date. No host name: results are published."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from a3c_exp.system.machine import git_commit, machine_info, package_versions

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "numpy", "gymnasium", "hydra-core", "omegaconf", "wandb")


def environment() -> dict[str, Any]:
    """Everything that identifies a measurement; call it before measuring, because of the load average."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        # Other programs make every number worse; the load says whether there were any when the measurement began.
        "machine": machine_info() | {"load_average_before": round(os.getloadavg()[0], 2)},
        "versions": package_versions(PACKAGES),
        "git": git_commit(),
    }


def command_line() -> str:
    """The command line, ready to be typed again."""
    return " ".join(["python", "-m", "benchmarks", *sys.argv[1:]])
