"""Where the run directories are. No numpy here."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from a3c_exp.analysis.files import parse_object, read_text, strings
from a3c_exp.core.errors import RunDirectoryError

RUN_DIRECTORY = "a run directory is a folder with a run.json, made by `python -m a3c_exp ...`"
_SEED_FOLDER = re.compile(r"seed=[0-9]{1,20}")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


def find_runs(paths: Iterable[Path | str]) -> list[Path]:
    """All run directories at or below ``paths``, each once, in natural order (``workers=4`` before ``workers=12``).

    A folder of several seeds that trained together stands for the run directories of its seeds; one that is missing is
    among them all the same, to be missed by whoever reads it.

    Raises:
        RunDirectoryError: a path is not a directory, or there is no run directory at or below it.
    """
    found: dict[Path, Path] = {}  # resolved, if it could be there twice: as it was named first
    places = [Path(path) for path in paths]
    for path in places:
        if not path.is_dir():
            what = "is a file, not a directory" if path.exists() else "no such directory"
            raise RunDirectoryError(f"{path}: {what}; {RUN_DIRECTORY}")
        below = list(_walk(path))
        if not below:
            raise RunDirectoryError(f"{path}: no runs found here or below; {RUN_DIRECTORY}")
        for directory in below:
            found.setdefault(directory.resolve() if len(places) > 1 else directory, directory)
    return sorted(found.values(), key=lambda directory: natural(str(directory)))


def seeds_of(path: Path) -> list[Path]:
    """The run directories inside ``path`` if that is a folder of several seeds, as its ``run.json`` lists them; else none."""
    text = read_text(path / "run.json", [])
    if '"seeds"' not in text:  # most have none, and are not to be parsed for nothing
        return []
    names = strings((parse_object(text) or {}).get("seeds"))
    # Any other name was not written by a run, and may lead anywhere.
    return [path / name for name in names] if all(map(_SEED_FOLDER.fullmatch, names)) else []


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """A sort key under which numbers inside text count as numbers: ``workers=4`` before ``workers=12``."""
    parts = _NUMBER.split(text)
    return tuple((1, float(part), "") if index % 2 else (0, 0.0, part) for index, part in enumerate(parts))


def _walk(root: Path) -> Iterable[Path]:
    for directory, below, names in os.walk(root):
        if "run.json" in names:
            below.clear()  # whatever lies inside a run belongs to it
            yield from seeds_of(Path(directory)) or [Path(directory)]
        else:
            below[:] = sorted(name for name in below if not name.startswith("."))
