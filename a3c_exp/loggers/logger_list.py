"""Several loggers at once: ``logger=[wandb,tensorboard]``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import Logger, RunInfo, to_stderr
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status


class LoggerList(Logger):
    """Calls ``loggers``, each under its own name in the configuration (``logger.wandb.project``), in this order."""

    def __init__(self, on_message: Callable[[str], None] = to_stderr, **loggers: Logger) -> None:
        self._loggers = loggers
        for logger in loggers.values():
            if hasattr(logger, "on_message"):
                logger.on_message = on_message

    def start(self, run: RunInfo) -> None:
        self._call("start", run)

    def episode(self, episode: EpisodeRecord) -> None:
        self._call("episode", episode)

    def metrics(self, metrics: MetricsRecord) -> None:
        self._call("metrics", metrics)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._call("evaluation", evaluation)

    def message(self, text: str) -> None:
        self._call("message", text)

    def video(self, path: Path, env_step: int) -> None:
        self._call("video", path, env_step)

    def screenshot(self, path: Path, env_step: int) -> None:
        self._call("screenshot", path, env_step)

    def checkpoint(self, path: Path, env_step: int) -> None:
        self._call("checkpoint", path, env_step)

    def sync(self) -> None:
        self._call("sync")

    def finish(self, status: Status, summary: JsonObject) -> None:
        for logger in reversed(self._loggers.values()):
            logger.finish(status, summary)

    def _call(self, method: str, *arguments: Any) -> None:
        for logger in self._loggers.values():
            getattr(logger, method)(*arguments)
