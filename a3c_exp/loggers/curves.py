"""What every service draws of a run: names of curves, their axis, units and grouping, in one place, so that all tell the same.

The axis of all curves is ``env_step``, environment steps of all workers. A curve's name is ``<group>/<name>``: ``episode/*``
are of training episodes and ``info/*`` of what their environment adds (``env.log_info``), ``train/*`` of losses and
diagnostics, ``workers/*`` each worker's speed, ``eval/*`` of evaluations.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import Logger
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, StatisticInfo

AXIS = "env_step"
UNITS = {
    "episode/return": "reward",
    "episode/length": "steps",
    "episode/mean_step_reward": "reward a step",
    "episode/moving_average": "reward a step",
    "episode/truncated": "share of episodes that a time limit ended",
    "train/steps_per_second": "steps a second",
    "train/updates_per_second": "updates a second",
    "train/wall_time": "seconds",
    "eval/mean": "reward",
    "eval/mean_length": "steps",
    "eval/wall_time": "seconds",
}
"""Of curves that are no statistics of windows, whose units stand in ``StatisticInfo``."""


class CurveLogger(Logger):
    """A logger of curves: derive a class that has ``send_row``. Short episodes end by the thousand in a second, too many for
    services and readers: a row of ``episode/*`` is the mean of all episodes since the row before (``episode/count`` of them),
    likewise ``train/*`` and ``workers/*``, which share a row; ``row_interval`` are the seconds between two."""

    def __init__(self, row_interval: float) -> None:
        self._episode_rows = RowAverager("episode/", row_interval)
        self._metrics_rows = RowAverager("train/", row_interval)

    def send_row(self, row: Mapping[str, Any]) -> None:
        """Draw the values of a row, by the names of their curves, over its ``env_step``; none of them is ``None``."""
        raise NotImplementedError

    def episode(self, episode: EpisodeRecord) -> None:
        values: dict[str, float | None] = {"return": episode.return_, "truncated": float(episode.end == "truncated")}
        values |= {"length": episode.length, "mean_step_reward": episode.mean_step_reward}
        values |= episode.named_info()
        last = {"number": episode.episode, "moving_average": episode.moving_average}
        self._episode_rows.add(episode.env_step, values, last)
        self._send(self._episode_rows.pop_row_if_due())

    def metrics(self, metrics: MetricsRecord) -> None:
        values = metrics.to_dict()
        env_step = values.pop(AXIS)
        for key in ("steps_per_second", "updates_per_second"):
            each = values.pop(f"worker_{key}")
            values |= {f"workers/{key}/{worker}": value for worker, value in enumerate(each)}
        last = {key: values.pop(key) for key in ("update", "episode", "wall_time", "moving_average", "recent_return")}
        most = {name: values.pop(name) for name, info in metrics.infos.items() if info.reduction == "max"}
        self._metrics_rows.add(env_step, values, last, most)
        self._send(self._metrics_rows.pop_row_if_due())

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        values = evaluation.to_summary()
        env_step = values.pop(AXIS)
        self._send({AXIS: env_step, **{f"eval/{key}": float(value) for key, value in values.items()}})

    def flush_rows(self) -> None:
        """Send what was merged and not sent yet: at the end."""
        self._send(self._episode_rows.pop_row())
        self._send(self._metrics_rows.pop_row())

    def _send(self, row: dict[str, Any] | None) -> None:
        if row:
            self.send_row({key: value for key, value in row.items() if value is not None})


class RowAverager:
    """Merges rows that come faster than ``interval`` into one, with their mean, last or largest value."""

    def __init__(self, prefix: str, interval: float) -> None:
        self._prefix = prefix
        self._interval = interval
        self._next_row_time = 0.0
        self._env_step = 0
        self._values: dict[str, list[float]] = {}
        self._last: dict[str, Any] = {}
        self._maxima: dict[str, float] = {}
        self._count = 0

    def add(self, env_step: int, mean: JsonObject, last: JsonObject, maxima: JsonObject | None = None) -> None:
        self._env_step = max(self._env_step, env_step)
        self._count += 1
        for key, value in mean.items():
            if value is not None:
                self._values.setdefault(key, []).append(float(value))
        self._last.update(last)
        for key, value in (maxima or {}).items():
            self._maxima[key] = max(value, self._maxima.get(key, value))

    def pop_row_if_due(self) -> dict[str, Any] | None:
        now = time.monotonic()
        if now < self._next_row_time:
            return None
        self._next_row_time = now + self._interval
        return self.pop_row()

    def pop_row(self) -> dict[str, Any] | None:
        if not self._count:
            return None
        means = {key: sum(values) / len(values) for key, values in self._values.items()}
        row = {**means, **self._last, **self._maxima, "count": self._count}
        self._values, self._last, self._maxima, self._count = {}, {}, {}, 0
        # A key with a section of its own (workers/...) shares the row: services slow down with the number of rows.
        named = {key if "/" in key else f"{self._prefix}{key}": value for key, value in row.items()}
        return {AXIS: self._env_step, **named}


def describe_curves(infos: Mapping[str, StatisticInfo]) -> str:
    """A table in Markdown of curves with their units and meanings: of those with a unit, and of all statistics."""
    rows = [f"| {name} | {unit} | |" for name, unit in UNITS.items()]
    rows += [f"| train/{name} | {info.unit} | {info.help} |" for name, info in infos.items()]
    head = f"All curves are over {AXIS}: environment steps of all workers.\n\n| curve | unit | what it is |\n|---|---|---|\n"
    return head + "\n".join(rows)


def flat_config(config: JsonObject) -> dict[str, Any]:
    """A configuration's values by dotted keys, for services that show parameters side by side."""
    from a3c_exp.config.flatten import flatten

    return {key: value for key, value in flatten(dict(config)).items() if not key.startswith(("logger", "ablation.report"))}


def artifacts(directory: Path) -> list[Path]:
    """The files of a run directory that a service keeps beside its curves: configuration, summary and best weights."""
    names = ("run.json", "summary.json", ".hydra/config.yaml", "checkpoints/best.pt")
    folders = [directory, *sorted(directory.glob("seed=*"))]
    return [folder / name for folder in folders for name in names if (folder / name).is_file()]
