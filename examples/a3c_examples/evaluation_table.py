"""A logger: evaluations as a table that a spreadsheet opens."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import NullLogger, RunInfo
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.errors import ConfigError

_ALLOWED = [field.name for field in fields(EvaluationRecord) if field.name not in ("env_step", "returns")]


class EvaluationTable(NullLogger):
    """``evaluations.csv`` in the run directory: a row an evaluation, ``env_step`` first.

    A disk that is full or a folder that has gone must not end a run: it says so once and writes no more.

    Args:
        columns: what follows ``env_step``: names of an evaluation's numbers.
        on_message: where to say something that a person should read; the program gives its own.

    Raises:
        ConfigError: an unknown column.
    """

    def __init__(
        self, columns: Sequence[str] = ("mean", "ci_low", "ci_high"), on_message: Callable[[str], None] = print
    ) -> None:
        for column in columns:
            if column not in _ALLOWED:
                raise ConfigError(f"logger.columns names {column}, but there are only {', '.join(_ALLOWED)}")
        self._columns = ["env_step", *columns]
        self._on_message = on_message
        self._path: Path | None = None

    def start(self, run: RunInfo) -> None:
        self._path = run.directory / "evaluations.csv"
        rows: list[dict[str, Any]] = []
        if run.resumed and self._path.exists():
            with self._path.open(newline="") as file:
                # What came after the checkpoint that the run goes on from will be lived again.
                rows = [row for row in csv.DictReader(file) if int(row["env_step"]) <= run.start_env_step]
        self._write("w", rows, header=True)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._write("a", [evaluation.to_dict()])

    def _write(self, mode: str, rows: Sequence[dict[str, Any]], header: bool = False) -> None:
        if self._path is None:
            return
        try:
            with self._path.open(mode, newline="") as file:
                table = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
                if header:
                    table.writeheader()
                table.writerows(rows)
        except OSError as error:
            self._on_message(f"{self._path} cannot be written ({error.strerror}); this run goes on without it")
            self._path = None
