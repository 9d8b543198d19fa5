"""Sending to Weights & Biases what runs kept offline. Needs a login, and never asks for one."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from a3c_exp.runs.run_directories import wandb_folders
from a3c_exp.system.errors import A3CError, first_line

_BATCH_SIZE = 200  # folders a call: a command line has its limits


def require_login() -> None:
    """Raises A3CError, which says what to type, unless the user is logged in by wandb's own rules."""
    try:
        from wandb.sdk import wandb_setup
        from wandb.sdk.lib import wbauth
    except ImportError:
        raise A3CError("this needs wandb, which is not installed: pip install wandb") from None
    settings = wandb_setup.singleton().settings
    try:
        login = wbauth.authenticate_session(host=settings.base_url, source="a3c_exp", prompt=False, no_offline=True)
    except Exception as error:  # a key of the wrong form, two that contradict each other
        raise A3CError(f"Weights & Biases does not take the key that it found: {first_line(error)}") from None
    if not login:
        raise A3CError(
            "you are not logged in to Weights & Biases, and this needs an account: run `wandb login` once "
            "(or set WANDB_API_KEY), then type the same again. Nothing was sent"
        )


def unsent(directories: Iterable[Path]) -> list[Path]:
    """The W&B folders with runs that were never sent, oldest first."""
    runs = {run.resolve(): run for directory in directories for run in wandb_folders(directory, "offline-run-*")}
    return sorted((run for run in runs.values() if any(run.glob("*.wandb")) and not is_sent(run)), key=lambda run: run.name)


def is_sent(folder: Path) -> bool:
    """Whether wandb has marked it as sent."""
    return any(folder.glob("*.wandb.synced"))


def send(folders: Sequence[Path]) -> int:
    """Send them by ``wandb sync``, which shows its progress; returns how many were sent."""
    for start in range(0, len(folders), _BATCH_SIZE):
        batch = folders[start : start + _BATCH_SIZE]
        # -P: with the current folder on its path, `import wandb` could find a folder named wandb.
        subprocess.run([sys.executable, "-P", "-m", "wandb", "sync", *map(str, batch)], check=False)
    return sum(map(is_sent, folders))
