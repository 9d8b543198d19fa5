"""Names of run directories: made exclusively, short enough for any disk, never used twice."""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from omegaconf import OmegaConf

from a3c_exp.system.errors import ConfigError

_MAX_NAME_LENGTH = 120
"""Characters of a folder's name; most systems allow 255 bytes, and tools add suffixes."""


def create_run_directory(name: str, root: Path = Path("outputs")) -> Path:
    """Make ``<root>/<date>/<time>_<name>``, as ``create_directory`` does."""
    return create_directory(root / time.strftime("%Y-%m-%d"), time.strftime("%H-%M-%S"), name)


def create_directory(parent: Path, stamp: str, name: str) -> Path:
    """Make ``<parent>/<stamp>_<name>``, the name made short, with ``-2``, ``-3`` ... behind it if that has just been made."""
    parent.mkdir(parents=True, exist_ok=True)
    base = f"{stamp}_{short_name(name)}"
    for number in range(1, 10_000):
        directory = parent / (base if number == 1 else f"{base}-{number}")
        with suppress(FileExistsError):
            directory.mkdir()
            return directory
    raise ConfigError(f"{parent} already holds ten thousand directories of this second")


def short_name(overrides: str) -> str:
    """A folder's name for a job's overrides: as they are if short, else cut and ended by a hash of the whole.

    >>> short_name("workers=4")
    'workers=4'
    >>> len(short_name("a" * 500))
    120
    """
    name = overrides.replace("/", "_") or "defaults"
    if len(name.encode()) <= _MAX_NAME_LENGTH:
        return name
    mark = hashlib.sha256(overrides.encode()).hexdigest()[:10]
    return name.encode()[: _MAX_NAME_LENGTH - 11].decode(errors="ignore") + "~" + mark


def register_resolvers() -> None:
    """Teach OmegaConf the names that conf/config.yaml uses for directories."""
    OmegaConf.register_new_resolver("short_name", short_name, replace=True)
    # Only a placeholder, for `--cfg hydra`: the command line reserves the real folder once everything is checked.
    OmegaConf.register_new_resolver("unique_dir", lambda name: f"outputs/DATE/TIME_{name}", replace=True)
