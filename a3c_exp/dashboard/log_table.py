"""The numbers of ``.jsonl`` files that grow: each reading takes only what is new."""

import math
import os
from array import array
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from a3c_exp.dashboard.outputs_folder import OutputsFolder
from a3c_exp.runs.tolerant_io import number, parse_object

LOGS = ("episodes", "metrics", "evaluations")
_REMEMBERED_BYTES = 64  # before the place that was read to, by which a file that was rewritten is known
_MAX_TABLES = 600  # of the runs that were looked at last


class LogTable:
    """The numbers of one file, by field. A last line that is half-written is left for the next reading; a file that was
    replaced or cut short, as by a resume, is read from its start."""

    def __init__(self, folder: OutputsFolder, path: Path) -> None:
        self._folder, self._path = folder, path
        self._forget()

    def _forget(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._length = 0
        self._offset, self._inode, self._last_bytes = 0, 0, b""

    @property
    def version(self) -> tuple[int, int]:
        """What changes with every line that was read."""
        return self._inode, self._offset

    def column(self, name: str) -> NDArray[np.float64]:
        """``[lines]``, NaN where a line has no number of that name; empty if none has."""
        return np.array(self._columns.get(name, ()), dtype=np.float64)

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def read(self, max_bytes: int) -> int:
        """Read what is new, of it at most ``max_bytes``; returns how many bytes that were."""
        try:
            with self._folder.open(self._path) as file:
                self._check_same(file)
                data = file.read(max_bytes)
        except OSError:  # it is gone, or not there yet
            self._forget()
            return 0
        end = data.rfind(b"\n") + 1
        if not end and len(data) == max_bytes:
            end = max_bytes  # a line that long was not written by a run
        for line in data[:end].split(b"\n"):
            self._add(line)
        self._offset += end
        self._last_bytes = (self._last_bytes + data[:end])[-_REMEMBERED_BYTES:]
        return len(data)

    def _check_same(self, file: BinaryIO) -> None:
        """Go to where the last reading ended, or to the start of a file that is another one since."""
        inode = os.fstat(file.fileno()).st_ino
        file.seek(max(0, self._offset - len(self._last_bytes)))
        if inode != self._inode or file.read(len(self._last_bytes)) != self._last_bytes:
            self._forget()
            file.seek(0)
        self._inode = inode

    def _add(self, line: bytes) -> None:
        if (content := parse_object(line)) is None:
            return
        for name, value in content.items():
            if name not in self._columns and isinstance(value, int | float):
                self._columns[name] = array("d", [math.nan]) * self._length
        for name, column in self._columns.items():
            column.append(number(content.get(name)))
        self._length += 1


class LogTables:
    """The tables of all runs that were looked at lately. Who uses them holds ``lock``."""

    def __init__(self, folder: OutputsFolder) -> None:
        self._folder = folder
        self._tables: OrderedDict[Path, LogTable] = OrderedDict()
        self.lock = Lock()

    def read(self, path: Path, max_bytes: int) -> tuple[dict[str, LogTable], int]:
        """The tables of the run at ``path``, each read on; and how many bytes that took of the ``max_bytes``."""
        tables, taken = {}, 0
        for name in LOGS:
            file = path / f"{name}.jsonl"
            tables[name] = table = self._tables.setdefault(file, LogTable(self._folder, file))
            self._tables.move_to_end(file)
            if taken < max_bytes:
                taken += table.read(max_bytes - taken)
        while len(self._tables) > _MAX_TABLES:
            self._tables.popitem(last=False)
        return tables, taken
