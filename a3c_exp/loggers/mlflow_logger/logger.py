"""A mirror of the run in MLflow, below that of its sweep or study."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import RunInfo, to_stderr
from a3c_exp.loggers.curves import CurveLogger, artifacts, describe_curves, flat_config
from a3c_exp.loggers.placement import TRIAL_FOLDER, placement
from a3c_exp.loggers.service_client import ServiceClient
from a3c_exp.runs.log_records import JsonObject, MetricsRecord, Status
from a3c_exp.system.cli import command
from a3c_exp.system.extras import require_extra

ID_FILE = "mlflow_run_id"
"""In a run directory, for a resumed run to go on in the same run of MLflow; in a sweep's folder, that of the parent run."""


class MlflowClient(ServiceClient):
    """Passes commands to a process for mlflow."""

    script = Path(__file__).with_name("process.py")


def parent_folders(run: RunInfo) -> list[tuple[str, Path]]:
    """The runs of MLflow above this one, by their names, and the folders that keep their ids: that of its sweep or study, and
    of a trial with seeds that train one after another that of the trial."""
    above = [*run.directory.absolute().parents]
    group = next((folder for folder in above if folder.name == run.group), above[0])
    if run.group is None:
        return []
    trials = [folder for folder in above[: above.index(group)] if TRIAL_FOLDER.fullmatch(folder.name)]
    return [(run.group, group), *((folder.name, folder) for folder in trials)]


class MlflowLogger(CurveLogger):
    """Shows a run in MLflow: curves over environment steps, the configuration as parameters, tags, and as artifacts its
    configuration, best weights, summary, videos and screenshots. A sweep or study is a parent run, and its runs are children
    (of a trial whose seeds train one after another, grandchildren); a study's own values are ``MlflowStudy``'s.

    mlflow runs in a process of its own, so training neither waits for a server nor fails with it: one that does not answer
    within ``init_timeout`` seconds is reported once. The arguments are those of conf/logger/mlflow.yaml; ``on_message`` as of
    ``WandbLogger``. Raises ConfigError if the package is not installed.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "a3c_exp",
        init_timeout: float = 30.0,
        finish_timeout: float = 30.0,
        row_interval: float = 1.0,
        on_message: Callable[[str], None] = to_stderr,
    ) -> None:
        super().__init__(row_interval)
        require_extra("logger=mlflow", "mlflow", otherwise="logger=none")
        self._settings = {"mode": "online", "tracking_uri": tracking_uri, "experiment": experiment or "a3c_exp"}
        self._timeouts = {"init_timeout": float(init_timeout), "finish_timeout": float(finish_timeout)}
        self.on_message = on_message
        self._client: MlflowClient | None = None
        self._directory = Path()
        self._described = False

    def start(self, run: RunInfo) -> None:
        group, job_type, words = placement(run)
        tags = {"group": group or "", "job_type": job_type, "tags": ",".join(words), "mlflow.source.name": command()}
        tags |= dict(word.partition("=")[::2] for word in words if "=" in word)
        self._directory = run.directory.absolute()
        handshake = {
            **self._settings,
            **self._timeouts,
            "name": run.name,
            "id_file": str(self._directory / ID_FILE),
            "parents": [{"name": name, "id_file": str(folder / ID_FILE)} for name, folder in parent_folders(run)],
            "shared": False,
            "tags": tags,
            "params": {key: str(value) for key, value in flat_config(run.config).items()},
            "pid": os.getpid(),
        }
        self._client = MlflowClient(handshake)

    def metrics(self, metrics: MetricsRecord) -> None:
        if self._client and not self._described:
            self._described = True
            self._client.send({"do": "note", "text": describe_curves(metrics.infos)})
        super().metrics(metrics)

    def send_row(self, row: Mapping[str, Any]) -> None:
        if self._client:
            self._client.send_row(dict(row))
        self._forward_messages()

    def video(self, path: Path, env_step: int) -> None:
        self._send_file(path, "videos")

    def screenshot(self, path: Path, env_step: int) -> None:
        self._send_file(path, "screenshots")

    def finish(self, status: Status, summary: JsonObject) -> None:
        if not self._client:
            return
        self.flush_rows()
        for path in artifacts(self._directory):
            self._send_file(path, str(path.parent.relative_to(self._directory)).replace(".hydra", "config"))
        result = {key: summary.get(key) for key in ("status", "reason", "weights_digest", "episodes_digest")}
        self._client.finish(status, {key: str(value) for key, value in result.items() if value is not None})
        self._forward_messages()
        self._client = None

    def _send_file(self, path: Path, folder: str) -> None:
        if self._client:
            self._client.send({"do": "artifact", "path": str(path.absolute()), "folder": "" if folder == "." else folder})
        self._forward_messages()

    def _forward_messages(self) -> None:
        for message in self._client.pop_messages() if self._client else ():
            self.on_message(f"MLflow {message}")
