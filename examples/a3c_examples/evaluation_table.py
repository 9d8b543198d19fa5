"""A logger: evaluations as a CSV table."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.errors import ConfigError

_ALLOWED = [field.name for field in fields(EvaluationRecord) if field.name not in ("env_step", "returns")]


class EvaluationTable(Logger):
    """``evaluations.csv`` in the run directory: one row per evaluation, ``env_step`` first.

    A full disk or a deleted folder must not end a run: the logger reports it once and stops writing.

    Args:
        columns: the fields of an evaluation that follow ``env_step``.
        on_message: receives messages for the user; the program passes its own.

    Raises:
        ConfigError: an unknown column.
    """

    def __init__(
        self, columns: Sequence[str] = ("mean", "ci_low", "ci_high"), on_message: Callable[[str], None] = print
    ) -> None:
        for column in columns:
            if column not in _ALLOWED:
                raise ConfigError(f"logger.columns names {column}, but the columns are {', '.join(_ALLOWED)}")
        self._columns = ["env_step", *columns]
        self._on_message = on_message
        self._path: Path | None = None

    def start(self, run: RunInfo) -> None:
        self._path = run.directory / "evaluations.csv"
        rows: list[dict[str, Any]] = []
        if run.resumed and self._path.exists():
            with self._path.open(newline="") as file:
                # Evaluations after the checkpoint that is resumed will be made again.
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
            self._on_message(f"{self._path} cannot be written ({error.strerror}); the run continues without it")
            self._path = None
