"""Callbacks: a user's own code that is called with what a run logs, and may ask it to stop."""

from collections.abc import Sequence
from pathlib import Path

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status


class Callback:
    """Derive a class from this one and override what you need. Methods are called in the main process, in the order of events,
    where the log is written; an exception ends the run as failed. A hook that returns ``False`` asks the run to stop, as in
    stable-baselines3: it ends as at the end of its budget, with a checkpoint and an evaluation. After ``on_metrics``,
    ``on_evaluation`` and ``on_checkpoint`` that is at this very step; after ``on_episode`` a tenth of a second later at most,
    so that where it ends depends on the machine's speed.

    Of seeds that train together (``num_seeds``) there are means: metrics and evaluations, and no episodes.
    """

    def on_start(self, run: RunInfo) -> None:
        """A session of the run starts."""

    def on_episode(self, episode: EpisodeRecord) -> bool | None:
        """A training episode has ended."""

    def on_metrics(self, metrics: MetricsRecord) -> bool | None:
        """Means over the last ``metrics.every_env_steps``; ``metrics.statistics`` has the losses, the entropy and so on."""

    def on_evaluation(self, evaluation: EvaluationRecord) -> bool | None:
        """The weights were evaluated; if they are the best so far (``evaluation.best``), they have been saved."""

    def on_checkpoint(self, path: Path, env_step: int) -> bool | None:
        """A checkpoint was written, from which the run can be resumed."""

    def on_end(self, status: Status, summary: JsonObject) -> None:
        """The run has ended, for whatever reason; ``summary`` is what summary.json holds."""


class CallbackLogger(Logger):
    """Calls ``callbacks`` with what is logged. It has a ``stop_reason`` once one of them has asked to stop."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks
        self.stop_reason: str | None = None

    def start(self, run: RunInfo) -> None:
        for callback in self._callbacks:
            callback.on_start(run)

    def episode(self, episode: EpisodeRecord) -> None:
        for callback in self._callbacks:
            self._note(callback, callback.on_episode(episode))

    def metrics(self, metrics: MetricsRecord) -> None:
        for callback in self._callbacks:
            self._note(callback, callback.on_metrics(metrics))

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        for callback in self._callbacks:
            self._note(callback, callback.on_evaluation(evaluation))

    def checkpoint(self, path: Path, env_step: int) -> None:
        for callback in self._callbacks:
            self._note(callback, callback.on_checkpoint(path, env_step))

    def finish(self, status: Status, summary: JsonObject) -> None:
        for callback in self._callbacks:
            callback.on_end(status, summary)

    def _note(self, callback: Callback, answer: bool | None) -> None:
        if answer is False and self.stop_reason is None:
            self.stop_reason = f"{type(callback).__name__} asked to stop"
