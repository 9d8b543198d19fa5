"""A run's curves as CSV files, for spreadsheets and pandas."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import RunInfo, to_stderr
from a3c_exp.loggers.curves import AXIS, CurveLogger
from a3c_exp.runs.log_records import JsonObject, Status
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import explain_os_error


class CsvLogger(CurveLogger):
    """Writes ``<run directory>/csv/episode.csv``, ``train.csv`` (with ``workers/*``) and ``eval.csv``: a row for each point, a
    column for each curve, by the names that all services show. A value that a row does not have is empty.

    An error of the disk is reported once, and the run goes on. The arguments are those of conf/logger/csv.yaml.
    """

    def __init__(self, row_interval: float = 1.0, on_message: Callable[[str], None] = to_stderr) -> None:
        super().__init__(row_interval)
        self.on_message = on_message
        self._tables: dict[str, _Table] | None = None

    def start(self, run: RunInfo) -> None:
        folder = run.directory / "csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._tables = {name: _Table(folder / f"{name}.csv", run.start_env_step) for name in ("episode", "train", "eval")}
        except OSError as error:
            self._give_up(error)

    def send_row(self, row: Mapping[str, Any]) -> None:
        if self._tables is None:
            return
        groups = {key.partition("/")[0] for key in row}
        name = next((group for group in self._tables if group in groups), "train")
        try:
            self._tables[name].append(row)
        except OSError as error:
            self._give_up(error)

    def finish(self, status: Status, summary: JsonObject) -> None:
        self.flush_rows()
        self._tables = None

    def _give_up(self, error: OSError) -> None:
        self._tables = None
        self.on_message(f"CSV files are off from here, the run goes on without them: {explain_os_error(error)}")


class _Table:
    """A file that grows by rows; a new column is added to those that are there. Of an earlier session the rows after the
    checkpoint that this one goes on from are taken away."""

    def __init__(self, path: Path, last_env_step: int) -> None:
        self._path = path
        self._columns: list[str] = []
        if path.is_file():
            kept = [row for row in self._rows() if _number(row.get(AXIS)) <= last_env_step]
            self._write(kept)

    def append(self, row: Mapping[str, Any]) -> None:
        if new := [key for key in row if key not in self._columns]:
            rows = self._rows() if self._columns else []
            self._columns += new
            self._write([*rows, row])
            return
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    def _rows(self) -> list[dict[str, str]]:
        with self._path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
            self._columns = list(reader.fieldnames or [])
        return rows

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._path, text.getvalue().encode())


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:  # half a line
        return float("nan")
