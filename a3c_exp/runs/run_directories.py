"""Run directories: named shortly enough for any disk, made exclusively, and found."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path

from a3c_exp.runs.tolerant_io import parse_object, read_text, strings
from a3c_exp.system.errors import ConfigError, RunDirectoryError

RUN_DIRECTORY_HINT = "Name a run directory: a folder with a run.json, made by `python -m a3c_exp ...`"
WANDB_ID_FILE, WANDB_DIR_FILE = "wandb_id", "wandb_dir"
"""The id of a run in W&B, and where its files are if that is not the run directory."""
_SEED_FOLDER = re.compile(r"seed=[0-9]{1,20}")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")
_MAX_NAME_LENGTH = 120  # characters of a folder's name; most systems allow 255 bytes, and tools add suffixes


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
    raise ConfigError(f"{parent} already holds ten thousand directories of this second. Try again in a second")


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
    import hashlib  # here, as in the next function, because lists of runs need none of it

    mark = hashlib.sha256(overrides.encode()).hexdigest()[:10]
    return name.encode()[: _MAX_NAME_LENGTH - 11].decode(errors="ignore") + "~" + mark


def register_resolvers() -> None:
    """Teach OmegaConf the functions that conf/ uses."""
    from omegaconf import OmegaConf

    def lr_per_update(lr: float, parallelism: str, workers: int) -> float:
        """The rate of an update from all workers' windows, which one worker's own update takes its share of."""
        return lr if parallelism.endswith(".Synchronous") else lr / workers

    OmegaConf.register_new_resolver("lr_per_update", lr_per_update, replace=True)
    OmegaConf.register_new_resolver("short_name", short_name, replace=True)
    # Only a placeholder, for `--cfg hydra`: the command line reserves the real folder once everything is checked.
    OmegaConf.register_new_resolver("unique_dir", lambda name: f"outputs/DATE/TIME_{name}", replace=True)


def find_runs(paths: Iterable[Path | str]) -> list[Path]:
    """All run directories at or below ``paths``, each once, in natural order (``workers=4`` before ``workers=12``); of seeds
    that trained together each one's, even if it is missing, so that its reader reports it. Raises RunDirectoryError for a path
    that is no directory or holds no run directory."""
    return [path for path, _ in find_run_records(paths)]


def find_run_records(paths: Iterable[Path | str]) -> list[tuple[Path, str | None]]:
    """As ``find_runs``, each with the text of its ``run.json`` where that had to be read anyway."""
    found: dict[Path, tuple[Path, str | None]] = {}  # resolved, if it could be there twice: as it was named first
    places = list(map(Path, paths))
    for path in places:
        if not path.is_dir():
            what = "is a file, not a directory" if path.exists() else "no such directory"
            raise RunDirectoryError(f"{path}: {what}. {RUN_DIRECTORY_HINT}")
        if not (below := list(_walk_run_directories(path))):
            raise RunDirectoryError(f"{path}: no runs found here or below. {RUN_DIRECTORY_HINT}")
        for directory, text in below:
            found.setdefault(directory.resolve() if len(places) > 1 else directory, (directory, text))
    return sorted(found.values(), key=lambda pair: natural_sort_key(str(pair[0])))


def seed_directories(path: Path) -> list[Path]:
    """The run directories inside ``path`` if that is a folder of several seeds, as its ``run.json`` lists them; else none."""
    return listed_seed_directories(path, read_text(path / "run.json", []))


def listed_seed_directories(path: Path, text: str) -> list[Path]:
    """The same, of a ``run.json`` whose ``text`` was read already."""
    if '"seeds"' not in text:  # most have none, and are not to be parsed for nothing
        return []
    names = strings((parse_object(text) or {}).get("seeds"))
    # Any other name was not written by a run, and may lead anywhere.
    return [path / name for name in names] if all(map(_SEED_FOLDER.fullmatch, names)) else []


def natural_sort_key(text: str) -> tuple[tuple[int, float, str], ...]:
    """A sort key under which numbers inside text count as numbers: ``workers=4`` before ``workers=12``."""
    parts = _NUMBER.split(text)
    return tuple((1, float(part), "") if index % 2 else (0, 0.0, part) for index, part in enumerate(parts))


def walk_folders(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """``(folder, names of the folders in it, names of the files in it)`` for ``root`` and all that lies below, down to run
    directories: whatever lies inside a run belongs to it. Hidden folders are left out, and links are not followed."""
    for directory, below, names in os.walk(root):
        inside = list(below)
        below[:] = [] if "run.json" in names else sorted(name for name in below if not name.startswith("."))
        yield Path(directory), inside, names


def _walk_run_directories(root: Path) -> Iterable[tuple[Path, str | None]]:
    for path, _, names in walk_folders(root):
        if "run.json" in names:
            text = read_text(path / "run.json", [])
            inside: list[tuple[Path, str | None]] = [(seed, None) for seed in listed_seed_directories(path, text)]
            yield from inside or [(path, text)]


def wandb_folders(directory: Path, pattern: str) -> Iterator[Path]:
    """The folders named so in which W&B keeps a run, online or offline: below its directory or, where seeds trained together,
    the one above; and those of this run where ``logger.dir`` put them."""
    for place in (directory, directory.resolve().parent):
        yield from (place / "wandb").glob(pattern)
        elsewhere, run_id = (read_text(place / name, []).strip() for name in (WANDB_DIR_FILE, WANDB_ID_FILE))
        if run_id and Path(elsewhere).is_absolute():
            yield from (Path(elsewhere) / "wandb").glob(f"{pattern}-{escape(Path(run_id).name)}")
