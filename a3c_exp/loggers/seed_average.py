"""What several seeds that train together look like from outside: one line of progress, one W&B run, all figures averaged."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.loggers.base import Logger, QuietLogger, RunInfo
from a3c_exp.runs.log_records import Evaluation, Json, Metrics, Status
from a3c_exp.stats.estimates import bootstrap_interval

_SUMMED = ("steps_per_second", "updates_per_second")
_LARGEST = ("grad_norm_max", "policy_lag_max", "wall_time")


class SeedMean:
    """Gathers what S seeds log and hands the mean on, as soon as every seed has said its part.

    Episodes are not handed on: those of different seeds make no curve.

    Args:
        loggers: who hears the mean.
        seeds: S.
    """

    def __init__(self, loggers: Sequence[Logger], seeds: int) -> None:
        self._loggers = loggers
        self._metrics: list[deque[Metrics]] = [deque() for _ in range(seeds)]
        self._evaluations: list[deque[Evaluation]] = [deque() for _ in range(seeds)]
        self._best: float | None = None
        self._last_message = ""

    def channel(self, index: int) -> Logger:
        """Where one seed logs to."""
        return _Channel(self, index)

    def start(self, run: RunInfo) -> None:
        for logger in self._loggers:
            logger.start(run)

    def metrics(self, index: int, metrics: Metrics) -> None:
        self._metrics[index].append(metrics)
        if all(self._metrics):
            self._pass_metrics([queue.popleft() for queue in self._metrics])

    def _pass_metrics(self, lines: Sequence[Metrics]) -> None:
        merged = mean_metrics(lines)
        for logger in self._loggers:
            logger.metrics(merged)

    def evaluation(self, index: int, evaluation: Evaluation) -> None:
        self._evaluations[index].append(evaluation)
        if all(self._evaluations):
            self._pass_evaluation([queue.popleft() for queue in self._evaluations])

    def _pass_evaluation(self, parts: Sequence[Evaluation]) -> None:
        mean = float(np.mean([part.mean for part in parts]))
        best = self._best is None or mean >= self._best
        self._best = mean if best else self._best
        merged = mean_evaluation(parts, best)
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

    def picture(self, index: int, path: Path, env_step: int) -> None:
        """Of the first seed alone: there is no mean of pictures."""
        if index == 0:
            for logger in self._loggers:
                logger.picture(path, env_step)

    def finish(self, status: Status, summary: Json) -> None:
        """Hand on what only some seeds have said, and end."""
        while left := [queue.popleft() for queue in self._metrics if queue]:
            self._pass_metrics(left)
        while rest := [queue.popleft() for queue in self._evaluations if queue]:
            self._pass_evaluation(rest)
        for logger in reversed(self._loggers):
            logger.finish(status, summary)


class _Channel(QuietLogger):
    def __init__(self, mean: SeedMean, index: int) -> None:
        self._mean = mean
        self._index = index

    def metrics(self, metrics: Metrics) -> None:
        self._mean.metrics(self._index, metrics)

    def evaluation(self, evaluation: Evaluation) -> None:
        self._mean.evaluation(self._index, evaluation)

    def message(self, text: str) -> None:
        self._mean.message(text)

    def picture(self, path: Path, env_step: int) -> None:
        self._mean.picture(self._index, path, env_step)


def mean_metrics(lines: Sequence[Metrics]) -> Metrics:
    """One line for several seeds: means, but the speed of all together and the largest of what is a maximum."""
    merged: dict[str, Any] = {}
    for field in fields(Metrics):
        values = [value for line in lines if (value := getattr(line, field.name)) is not None]
        if not values:
            merged[field.name] = None
        elif isinstance(values[0], list):
            same = len({len(value) for value in values}) == 1
            merged[field.name] = np.mean(values, axis=0).tolist() if same else []
        elif field.name in _SUMMED:
            merged[field.name] = float(np.sum(values))
        elif field.name in _LARGEST:
            merged[field.name] = max(values)
        elif all(isinstance(value, int) for value in values):
            merged[field.name] = round(float(np.mean(values)))
        else:
            merged[field.name] = float(np.mean(values))
    return Metrics(**merged)


def mean_evaluation(parts: Sequence[Evaluation], best: bool) -> Evaluation:
    """One evaluation for several seeds: the mean of their means, with an interval that resamples seeds, not episodes."""
    returns = [value for part in parts for value in part.returns]
    means = np.array([part.mean for part in parts])
    low, high = bootstrap_interval(means)
    return Evaluation(
        env_step=round(float(np.mean([part.env_step for part in parts]))),
        update=round(float(np.mean([part.update for part in parts]))),
        wall_time=max(part.wall_time for part in parts),
        episodes=sum(part.episodes for part in parts),
        deterministic=parts[0].deterministic,
        mean=float(means.mean()),
        std=float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
        median=float(np.median(means)),
        ci_low=low,
        ci_high=high,
        min=min(part.min for part in parts),
        max=max(part.max for part in parts),
        mean_length=float(np.mean([part.mean_length for part in parts])),
        returns=returns,
        best=best,
    )


def mean_summary(status: Status, reason: str | None, summaries: Mapping[str, Json]) -> dict[str, Any]:
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
                evaluation = mean_evaluation([Evaluation(**{**one, "returns": []}) for one in found], best=False)
                merged[key] = {name: value for name, value in evaluation.json().items() if name != "returns"}
            else:
                merged[key] = None
    merged["seeds"] = dict(summaries)
    return merged
