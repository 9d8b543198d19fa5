"""Files are replaced whole or not at all, so that no reader ever sees half of one."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when the block ends without an error. From then on it survives a power failure
    if it is ``durable``, which costs a wait for the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a full disk must not leave half a file behind
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: Path, content: str | bytes, durable: bool = True) -> None:
    """Replace a file by ``content``; see ``atomic_write``."""
    with atomic_write(path, durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by ``content`` as indented JSON."""
    write_atomically(path, json.dumps(content, indent=2))
