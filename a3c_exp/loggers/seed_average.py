"""Means over seeds that train together: for one line of progress and one W&B run."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.loggers.base import Logger
from a3c_exp.runs.log_records import EvaluationRecord, JsonObject, MetricsRecord, Status
from a3c_exp.stats.estimates import bootstrap_interval

_SUMMED_METRICS = ("steps_per_second", "updates_per_second")


class SeedAverageLogger:
    """Logs the means of seeds, each as soon as all have logged theirs. Episodes of different seeds are no learning curve."""

    def __init__(self, loggers: Sequence[Logger], num_seeds: int) -> None:
        self._loggers = loggers
        self.metrics: list[deque[MetricsRecord]] = [deque() for _ in range(num_seeds)]  # of each seed, not averaged yet
        self.evaluations: list[deque[EvaluationRecord]] = [deque() for _ in range(num_seeds)]
        self._best: float | None = None
        self._last_message = ""

    def logger_for_seed(self, index: int) -> Logger:
        return _SeedLogger(self, index)

    def message(self, text: str) -> None:
        """Log a message once, even if every seed has it."""
        if text != self._last_message:
            self._last_message = text
            self.log("message", text)

    def finish(self, status: Status, summary: JsonObject) -> None:
        """Log what only some seeds have, and end."""
        self.log_means(any)
        for logger in reversed(self._loggers):
            logger.finish(status, summary)

    def log_means(self, enough: Callable[[Iterable[object]], bool] = all) -> None:
        """Log means of what ``enough`` seeds have: all of them, or any."""
        while enough(self.metrics):
            self.log("metrics", mean_metrics([queue.popleft() for queue in self.metrics if queue]))
        while enough(self.evaluations):
            mean = mean_evaluation([queue.popleft() for queue in self.evaluations if queue], best=False)
            if self._best is None or mean.mean >= self._best:
                self._best, mean = mean.mean, replace(mean, best=True)
            self.log("evaluation", mean)

    def log(self, method: str, *arguments: Any) -> None:
        for logger in self._loggers:
            getattr(logger, method)(*arguments)


class _SeedLogger(Logger):
    def __init__(self, average: SeedAverageLogger, index: int) -> None:
        self._average = average
        self._index = index

    def metrics(self, metrics: MetricsRecord) -> None:
        self._average.metrics[self._index].append(metrics)
        self._average.log_means()

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._average.evaluations[self._index].append(evaluation)
        self._average.log_means()

    def message(self, text: str) -> None:
        self._average.message(text)

    def checkpoint(self, path: Path, env_step: int) -> None:
        self._average.log("checkpoint", path, env_step)

    def screenshot(self, path: Path, env_step: int) -> None:
        if self._index == 0:  # images have no mean
            self._average.log("screenshot", path, env_step)


def mean_metrics(lines: Sequence[MetricsRecord]) -> MetricsRecord:
    """One record for several seeds: means, but the sum of their speeds and the largest of each maximum."""
    plain = {field.name for field in fields(MetricsRecord)} - {"statistics", "infos"}
    merged: dict[str, Any] = {name: _combine(name, [getattr(line, name) for line in lines]) for name in plain}
    merged["statistics"] = {
        name: _combine(name, [line.statistics.get(name) for line in lines], info.reduction == "max")
        for name, info in lines[0].infos.items()
    }
    return MetricsRecord(**merged, infos=lines[0].infos)


def _combine(name: str, values: Sequence[Any], largest: bool = False) -> Any:
    """The mean of several seeds' values, or their sum or maximum where that is meant; ``None`` if no seed has a value."""
    if not (values := [value for value in values if value is not None]):
        return None
    if isinstance(values[0], list):
        return np.mean(values, axis=0).tolist() if len({len(value) for value in values}) == 1 else []
    if name in _SUMMED_METRICS:
        return float(np.sum(values))
    if largest or name == "wall_time":
        return max(values)
    mean = float(np.mean(values))
    return round(mean) if all(isinstance(value, int) for value in values) else mean


def mean_evaluation(evaluations: Sequence[EvaluationRecord], best: bool) -> EvaluationRecord:
    """One evaluation for several seeds: the mean of their means, with an interval that resamples seeds, not episodes."""
    values = {field.name: [getattr(evaluation, field.name) for evaluation in evaluations] for field in fields(EvaluationRecord)}
    means = np.array(values["mean"])
    low, high = bootstrap_interval(means)
    return replace(
        evaluations[0],
        **{name: _combine(name, values[name]) for name in ("env_step", "update", "wall_time", "mean_length")},
        episodes=sum(values["episodes"]),
        mean=float(means.mean()),
        std=float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
        median=float(np.median(means)),
        ci_low=low,
        ci_high=high,
        min=min(values["min"]),
        max=max(values["max"]),
        returns=[value for returns in values["returns"] for value in returns],
        best=best,
    )


def mean_summary(status: Status, reason: str | None, summaries: Mapping[str, JsonObject]) -> dict[str, Any]:
    """The summary of all seeds, with each seed's own under ``seeds``. Counts and the speed are sums over seeds; ``evaluation``
    has the mean of the seeds' means and its spread over seeds."""
    trained = [summary for summary in summaries.values() if "env_steps" in summary]
    merged: dict[str, Any] = {"status": status, "reason": reason, "num_seeds": len(summaries)}
    if trained:
        for key in ("episodes", "env_steps", "updates", "steps_per_second"):
            merged[key] = sum(summary[key] for summary in trained)
        merged["wall_time"] = max(summary["wall_time"] for summary in trained)
        for key in ("moving_average", "recent_return"):
            values = [summary[key] for summary in trained if summary[key] is not None]
            merged[key] = float(np.mean(values)) if values else None
        for key in ("evaluation", "best_evaluation"):
            records = [EvaluationRecord(**summary[key]) for summary in trained if summary[key] is not None]
            merged[key] = mean_evaluation(records, best=False).to_summary() if records else None
    merged["seeds"] = dict(summaries)
    return merged
