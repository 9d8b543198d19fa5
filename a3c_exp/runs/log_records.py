"""What a run logs: one frozen record a line. This module imports no torch, so that readers of run directories start quickly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JsonObject = Mapping[str, Any]
Status = Literal["running", "finished", "interrupted", "pruned", "failed"]
EpisodeEnd = Literal["terminated", "truncated"]


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished training episode, as it stands in ``episodes.jsonl``.

    Attributes:
        episode: its number in order of arrival, from 1.
        worker: the logical worker that collected it, from 0.
        return_: undiscounted sum of the environment's own rewards (``return`` in the file).
        length: environment steps.
        mean_step_reward: ``return_ / length``.
        moving_average: the report's curve: started at the first episode's mean step reward, then ``0.99 old + 0.01 new``.
        env_step: environment steps of the whole run when it ended.
        update: updates of the shared weights when it ended.
        wall_time: seconds of training when it ended, earlier sessions of a resumed run included.
        end: ``terminated`` or ``truncated``.
        env_seed: the seed its reset was given.
    """

    episode: int
    worker: int
    return_: float
    length: int
    mean_step_reward: float
    moving_average: float
    env_step: int
    update: int
    wall_time: float
    end: EpisodeEnd
    env_seed: int

    def to_dict(self) -> dict[str, Any]:
        return {("return" if key == "return_" else key): value for key, value in vars(self).items()}


Reduction = Literal["mean_over_steps", "mean_over_windows", "max"]


@dataclass(frozen=True)
class StatisticInfo:
    """What a statistic of training is, in words: all that loggers, the live view and the report need to know of it.

    Attributes:
        name: its key in ``metrics.jsonl`` and in W&B.
        help: what a reader should know of it, one sentence.
        reduction: over the windows between two lines; several seeds that train together are combined likewise.
        unit: of its values; empty for pure numbers.
        label: in the live view; empty leaves it out there.
        title: of its curve in the report; empty leaves it out there.
        section: the report's heading that the curve stands under.
        scale: ``log`` for powers of ten, ``zero`` for an axis that starts at 0, ``unit`` for shares up to 1 (cut off at -1),
            ``share`` for those between 0 and 1.
        replaces: a statistic that is not shown where this one has a value.
        hidden_if_equal_to: a statistic that this one often only repeats; it is not shown where it does.
    """

    name: str
    help: str
    reduction: Reduction = "mean_over_steps"
    unit: str = ""
    label: str = ""
    title: str = ""
    section: str = "custom"
    scale: Literal["linear", "log", "zero", "unit", "share"] = "linear"
    replaces: str = ""
    hidden_if_equal_to: str = ""


@dataclass(frozen=True)
class MetricsRecord:
    """Averages over the windows since the previous line of ``metrics.jsonl``.

    Attributes:
        recent_return: mean return of the last 100 training episodes, or of as many as there were.
        worker_steps_per_second, worker_updates_per_second: of each worker, by its number.
        statistics: the statistics of training by name (``a3c_exp.algorithm.window_stats``); ``None`` where one has no value.
        infos: what each of them is.
    """

    env_step: int
    update: int
    episode: int
    wall_time: float
    steps_per_second: float
    updates_per_second: float
    statistics: Mapping[str, float | None]
    infos: Mapping[str, StatisticInfo]
    moving_average: float | None
    recent_return: float | None = None
    worker_steps_per_second: list[float] = field(default_factory=list)
    worker_updates_per_second: list[float] = field(default_factory=list)

    def shown(self) -> list[tuple[StatisticInfo, float]]:
        """The statistics that the live view has room for, without those that only repeat another."""
        values = {name: value for name, value in self.statistics.items() if value is not None}
        shown = [(info, values[name]) for name, info in self.infos.items() if info.label and name in values]
        replaced = {info.replaces for info, _ in shown}
        return [
            (info, value)
            for info, value in shown
            if info.name not in replaced and not _is_close(value, values.get(info.hidden_if_equal_to))
        ]

    def to_dict(self) -> dict[str, Any]:
        fields = {key: value for key, value in vars(self).items() if key not in ("statistics", "infos")}
        return fields | dict(self.statistics)


def _is_close(value: float, other: float | None) -> bool:
    return other is not None and abs(value - other) <= 1e-3 * abs(other)


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of the shared weights on held-out seeds, as it stands in ``evaluations.jsonl``.

    ``ci_low`` and ``ci_high`` bound the mean return: a percentile bootstrap's 95 % interval over episodes.
    """

    env_step: int
    update: int
    wall_time: float
    episodes: int
    deterministic: bool
    mean: float
    std: float
    median: float
    ci_low: float
    ci_high: float
    min: float
    max: float
    mean_length: float
    returns: list[float] = field(default_factory=list)
    best: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def to_summary(self) -> dict[str, Any]:
        """Without the single returns, as it stands in ``summary.json``."""
        return {key: value for key, value in vars(self).items() if key != "returns"}
