"""A study in MLflow: the run above those of its trials, the best value so far, and each trial's parameters, value and state."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a3c_exp.loggers.mlflow_logger.logger import ID_FILE, MlflowClient, MlflowLogger
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.cli import command

_TARGET = f"{MlflowLogger.__module__}.{MlflowLogger.__name__}"
_SETTINGS = {"tracking_uri": None, "experiment": "a3c_exp", "init_timeout": 30.0, "finish_timeout": 30.0}
"""Those of the logger that a study needs, too."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has ended."""

    number: int
    state: str  # complete, pruned or failed
    params: Mapping[str, Any]
    values: Mapping[str, float]  # by objective; empty if it has none
    notes: Mapping[str, str]  # why it failed or was pruned, which one it repeats


def mlflow_settings(logger: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keys of ``logger=mlflow``, alone or in a list, in a configuration's ``logger``; ``None`` if it has none."""
    for section in (logger, *map(mapping, logger.values())):
        if section.get("_target_") == _TARGET:
            return {key: section.get(key, default) for key, default in _SETTINGS.items()}
    return None


class MlflowStudy:
    """Mirrors a study in the background, by a process that nothing waits for, as ``MlflowLogger`` does with a run.

    Args:
        settings: of ``mlflow_settings``.
        directory: the study's, in whose folders ``trial=<number>`` the trials run.
        params, tags: of the study: its search space; its goal, sampler and pruner.
    """

    def __init__(
        self, settings: Mapping[str, Any], directory: Path, name: str, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        self._directory, self._sent = directory.absolute(), set[int]()
        self._best: float | None = None
        handshake = {
            **settings,
            "mode": "online",
            "name": name,
            "id_file": str(self._directory / ID_FILE),
            "parents": [],
            "shared": True,
            "tags": {**tags, "job_type": "study", "mlflow.source.name": command()},
            "params": dict(params),
            "pid": os.getpid(),
        }
        self._client = MlflowClient(handshake)

    def update(self, trials: Sequence[TrialRecord], best: TrialRecord | None) -> None:
        """Send what is new: trials that have ended, and which is the ``best`` of a single objective."""
        for trial in trials:
            if trial.number in self._sent:
                continue
            self._sent.add(trial.number)
            name = f"trial={trial.number}"
            folder = self._directory / name
            # A trial that failed before its run began has no folder.
            id_file = folder / ID_FILE if folder.is_dir() else self._directory / f"{ID_FILE}.{name}"
            self._client.send(
                {
                    "do": "trial",
                    "name": name,
                    "id_file": str(id_file),
                    "tags": {"trial": str(trial.number), "state": trial.state, "job_type": "trial", **trial.notes},
                    "params": {key: str(value) for key, value in trial.params.items()},
                    "values": {f"study/{name}": value for name, value in trial.values.items()},
                }
            )
        if best is not None and (value := next(iter(best.values.values()))) != self._best:
            self._best = value
            self._client.send_row({"env_step": best.number, "study/best_value": value})
            params = {f"best.{key}": str(value) for key, value in best.params.items()}
            self._client.send({"do": "tags", "tags": {"best.trial": str(best.number), **params}})

    def finish(self, status: Status, files: Sequence[Path], on_message: Callable[[str], None]) -> None:
        """End the session; ``files`` of the study's directory, folders too, are artifacts. Waits for a limited time."""
        for path in files:
            folder = path.relative_to(self._directory) if path.is_dir() else path.parent.relative_to(self._directory)
            where = "" if folder == Path() else str(folder)
            self._client.send({"do": "artifact", "path": str(path), "folder": where})
        self._client.finish(status, {})
        self.forward_messages(on_message)

    def forward_messages(self, on_message: Callable[[str], None]) -> None:
        """Pass on what there is to say."""
        for message in self._client.pop_messages():
            on_message(f"MLflow {message}")
