"""Which files may be read and served: regular ones inside the folder of runs, whatever links and addresses say."""

import os
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes

_SAFE = "/=,+@~"  # what stays readable in an address
_READ_OF_RUN = (
    "", ".hydra", ".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml", ".lease", "run.json", "summary.json",
    "trial.json", "episodes.jsonl", "metrics.jsonl", "evaluations.jsonl",
)  # fmt: skip


class OutputsFolder:
    """The folder that is served, and nothing outside it. ``root`` stays as it was typed, since commands name it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)

    def id_of(self, path: Path) -> str:
        """What a folder is called in addresses: its path from the root, percent-encoded, so that any name is plain ASCII."""
        return quote(os.fsencode(path.relative_to(self.root)), safe=_SAFE)

    def path_of(self, address: str) -> Path | None:
        """The path that an address means; ``None`` for one that has dots, hidden names or nothing in any of its parts, or that
        leads out of the folder."""
        names = [os.fsdecode(unquote_to_bytes(part)) for part in address.split("/")]
        if any(not name or name.startswith(".") or "/" in name or "\0" in name for name in names):
            return None
        path = self.root.joinpath(*names)
        return path if self.contains(path) else None

    def contains(self, path: Path) -> bool:
        """Whether a path, with all links followed, is inside the folder."""
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(os.path.join(self._real_root, ""))  # noqa: PTH118 - quick

    def open(self, path: Path) -> BinaryIO:
        """A regular file inside the folder, to be read. Raises OSError for anything else, such as a pipe, which never ends."""
        real = os.path.realpath(path)
        if not self.contains(path):
            raise PermissionError(f"{path} leads out of {self.root}")
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is no regular file")
        return os.fdopen(descriptor, "rb")

    def is_readable_run(self, path: Path) -> bool:
        """Whether all that is read of a run lies inside the folder, in regular files."""
        return all(self._is_own(path / name if name else path) for name in _READ_OF_RUN)

    def _is_own(self, path: Path) -> bool:
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                mode = path.stat().st_mode
                if not self.contains(path):
                    return False
        except OSError:
            return True  # there is none, or it cannot be read, which readers note
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
