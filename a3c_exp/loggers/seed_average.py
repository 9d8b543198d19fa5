"""What several seeds that train together look like from outside: one line of progress, one W&B run, all figures averaged."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.loggers.base import Logger, NullLogger, RunInfo
from a3c_exp.runs.log_records import EvaluationRecord, JsonObject, MetricsRecord, Status
from a3c_exp.stats.estimates import bootstrap_interval

_SUMMED_METRICS = ("steps_per_second", "updates_per_second")


class SeedAverageLogger:
    """Gathers what S seeds log and hands the mean on, as soon as every seed has said its part.

    Episodes are not handed on: those of different seeds make no curve.

    Args:
        loggers: who hears the mean.
        num_seeds: S.
    """

    def __init__(self, loggers: Sequence[Logger], num_seeds: int) -> None:
        self._loggers = loggers
        self._metrics: list[deque[MetricsRecord]] = [deque() for _ in range(num_seeds)]
        self._evaluations: list[deque[EvaluationRecord]] = [deque() for _ in range(num_seeds)]
        self._best: float | None = None
        self._last_message = ""

    def logger_for_seed(self, index: int) -> Logger:
        """Where one seed logs to."""
        return _SeedLogger(self, index)

    def start(self, run: RunInfo) -> None:
        for logger in self._loggers:
            logger.start(run)

    def metrics(self, index: int, metrics: MetricsRecord) -> None:
        self._metrics[index].append(metrics)
        if all(self._metrics):
            self._forward_metrics([queue.popleft() for queue in self._metrics])

    def _forward_metrics(self, lines: Sequence[MetricsRecord]) -> None:
        merged = mean_metrics(lines)
        for logger in self._loggers:
            logger.metrics(merged)

    def evaluation(self, index: int, evaluation: EvaluationRecord) -> None:
        self._evaluations[index].append(evaluation)
        if all(self._evaluations):
            self._forward_evaluation([queue.popleft() for queue in self._evaluations])

    def _forward_evaluation(self, evaluations: Sequence[EvaluationRecord]) -> None:
        mean = float(np.mean([part.mean for part in evaluations]))
        best = self._best is None or mean >= self._best
        self._best = mean if best else self._best
        merged = mean_evaluation(evaluations, best)
        for logger in self._loggers:
            logger.evaluation(merged)

    def message(self, text: str) -> None:
        if text == self._last_message:
            return  # every seed says what concerns all of them
        self._last_message = text
        for logger in self._loggers:
            logger.message(text)

    def video(self, path: Path, env_step: int) -> None:
        for logger in self._loggers:
            logger.video(path, env_step)

    def screenshot(self, index: int, path: Path, env_step: int) -> None:
        """Of the first seed alone: there is no mean of pictures."""
        if index == 0:
            for logger in self._loggers:
                logger.screenshot(path, env_step)

    def finish(self, status: Status, summary: JsonObject) -> None:
        """Hand on what only some seeds have said, and end."""
        while left := [queue.popleft() for queue in self._metrics if queue]:
            self._forward_metrics(left)
        while rest := [queue.popleft() for queue in self._evaluations if queue]:
            self._forward_evaluation(rest)
        for logger in reversed(self._loggers):
            logger.finish(status, summary)


class _SeedLogger(NullLogger):
    def __init__(self, average: SeedAverageLogger, index: int) -> None:
        self._average = average
        self._index = index

    def metrics(self, metrics: MetricsRecord) -> None:
        self._average.metrics(self._index, metrics)

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        self._average.evaluation(self._index, evaluation)

    def message(self, text: str) -> None:
        self._average.message(text)

    def screenshot(self, path: Path, env_step: int) -> None:
        self._average.screenshot(self._index, path, env_step)


def mean_metrics(lines: Sequence[MetricsRecord]) -> MetricsRecord:
    """One line for several seeds: means, but the speed of all together and the largest of what is a maximum."""
    plain = {field.name for field in fields(MetricsRecord)} - {"statistics", "infos"}
    merged: dict[str, Any] = {name: _combine(name, [getattr(line, name) for line in lines]) for name in plain}
    infos = lines[0].infos
    statistics = {
        name: _combine(name, [line.statistics.get(name) for line in lines], info.reduction == "max")
        for name, info in infos.items()
    }
    return MetricsRecord(**merged, statistics=statistics, infos=infos)


def _combine(name: str, values: Sequence[Any], largest: bool = False) -> Any:
    """Several seeds' values as one: a mean, if the name does not ask for something else; ``None`` if none has a value."""
    values = [value for value in values if value is not None]
    if not values:
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
    returns = [value for part in evaluations for value in part.returns]
    means = np.array([part.mean for part in evaluations])
    low, high = bootstrap_interval(means)
    return EvaluationRecord(
        env_step=round(float(np.mean([part.env_step for part in evaluations]))),
        update=round(float(np.mean([part.update for part in evaluations]))),
        wall_time=max(part.wall_time for part in evaluations),
        episodes=sum(part.episodes for part in evaluations),
        deterministic=evaluations[0].deterministic,
        mean=float(means.mean()),
        std=float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
        median=float(np.median(means)),
        ci_low=low,
        ci_high=high,
        min=min(part.min for part in evaluations),
        max=max(part.max for part in evaluations),
        mean_length=float(np.mean([part.mean_length for part in evaluations])),
        returns=returns,
        best=best,
    )


def mean_summary(status: Status, reason: str | None, summaries: Mapping[str, JsonObject]) -> dict[str, Any]:
    """The summary of all seeds together, each seed's own below its name.

    Counts, and the speed, are sums over seeds; ``evaluation`` holds the mean of the seeds' means and its spread over seeds.
    """
    told = [summary for summary in summaries.values() if "env_steps" in summary]
    merged: dict[str, Any] = {"status": status, "reason": reason, "num_seeds": len(summaries)}
    if told:
        for key in ("episodes", "env_steps", "updates", "steps_per_second"):
            merged[key] = sum(summary[key] for summary in told)
        merged["wall_time"] = max(summary["wall_time"] for summary in told)
        for key in ("moving_average", "recent_return"):
            averages = [summary[key] for summary in told if summary[key] is not None]
            merged[key] = float(np.mean(averages)) if averages else None
        for key in ("evaluation", "best_evaluation"):
            found = [summary[key] for summary in told if summary[key] is not None]
            if found:
                evaluation = mean_evaluation([EvaluationRecord(**{**one, "returns": []}) for one in found], best=False)
                merged[key] = {name: value for name, value in evaluation.to_dict().items() if name != "returns"}
            else:
                merged[key] = None
    merged["seeds"] = dict(summaries)
    return merged
