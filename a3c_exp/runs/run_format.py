"""The format of what a run writes: run directories, checkpoints, exported weights, studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a3c_exp.system.errors import RunDirectoryError

FORMAT = 2
_LAST_READER = {1: "f51536f"}
"""Of each earlier format: the last commit that reads it."""


def format_problem(content: Mapping[str, Any]) -> str | None:
    """Why something that was written with this ``format`` cannot be used; ``None`` if it can."""
    found = content.get("format")
    if found == FORMAT:
        return None
    if isinstance(found, int) and found > FORMAT:
        return f"was written by a newer a3c_exp (format {found}, this version reads {FORMAT}). Update a3c_exp"
    reader = _LAST_READER.get(found if isinstance(found, int) else 1, _LAST_READER[1])
    return (
        f"was written by an older a3c_exp, whose files this version does not read. Commit {reader} does: git checkout {reader}"
    )


def require_format(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse what was written in another format.

    Raises:
        RunDirectoryError: it was, and this says which commit reads it.
    """
    if problem := format_problem(content):
        raise RunDirectoryError(f"{path} {problem}")
