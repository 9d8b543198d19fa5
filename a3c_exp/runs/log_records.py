"""What a run logs: one frozen record a line. This module imports no torch, so that readers of run directories start quickly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JsonObject = Mapping[str, Any]
Status = Literal["running", "finished", "interrupted", "pruned", "failed"]
EpisodeEnd = Literal["terminated", "truncated"]


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished training episode, as it stands in ``episodes.jsonl``."""

    episode: int  # its number in order of arrival, from 1
    worker: int  # the logical worker that collected it, from 0
    return_: float  # undiscounted sum of the environment's own rewards ("return" in the file)
    length: int  # environment steps
    mean_step_reward: float  # return_ / length
    moving_average: float  # the report's curve: begins with the first mean step reward, then 0.99 old + 0.01 new
    env_step: int  # environment steps of the whole run when it ended
    update: int  # updates of the shared weights when it ended
    wall_time: float  # seconds of training when it ended, earlier sessions of a resumed run included
    end: EpisodeEnd
    env_seed: int  # the seed its reset was given
    info: Mapping[str, float] = field(default_factory=dict)  # means of env.log_info, NaN for none; "info/<key>" in the file

    def to_dict(self) -> dict[str, Any]:
        own = {("return" if key == "return_" else key): value for key, value in vars(self).items() if key != "info"}
        return own | self.named_info()

    def named_info(self) -> dict[str, float | None]:
        """``info`` by the names that files and curves have; ``None`` for what has no value."""
        return {f"info/{key}": value if math.isfinite(value) else None for key, value in self.info.items()}


Reduction = Literal["mean_over_steps", "mean_over_windows", "max"]


@dataclass(frozen=True)
class StatisticInfo:
    """What a statistic of training is, in words: all that loggers, the live view and the report need to know of it."""

    name: str  # its key in metrics.jsonl and in W&B
    help: str  # what a reader should know of it, one sentence
    reduction: Reduction = "mean_over_steps"  # over the windows between two lines, and over seeds that train together
    unit: str = ""  # of its values; empty for pure numbers
    label: str = ""  # in the live view; empty leaves it out there
    title: str = ""  # of its curve in the report; empty leaves it out there
    section: str = "custom"  # the report's heading that the curve stands under
    # log: powers of ten; zero: an axis that starts at 0; unit: shares up to 1 (cut off at -1); share: those between 0 and 1
    scale: Literal["linear", "log", "zero", "unit", "share"] = "linear"
    replaces: str = ""  # a statistic that is not shown where this one has a value
    hidden_if_equal_to: str = ""  # a statistic that this one often only repeats; it is not shown where it does


@dataclass(frozen=True)
class MetricsRecord:
    """Averages over the windows since the previous line of ``metrics.jsonl``."""

    env_step: int
    update: int
    episode: int
    wall_time: float
    steps_per_second: float
    updates_per_second: float
    statistics: Mapping[str, float | None]  # of training, by name (a3c_exp.algorithm.window_stats); None: it has no value
    infos: Mapping[str, StatisticInfo]  # what each of them is
    moving_average: float | None
    recent_return: float | None = None  # mean return of the last 100 training episodes, or of as many as there were
    worker_steps_per_second: list[float] = field(default_factory=list)  # of each worker, by its number
    worker_updates_per_second: list[float] = field(default_factory=list)

    def shown(self) -> list[tuple[StatisticInfo, float]]:
        """The statistics that the live view has room for, without those that only repeat another."""
        values = {name: value for name, value in self.statistics.items() if value is not None}
        shown = [(info, values[name]) for name, info in self.infos.items() if info.label and name in values]
        hidden = {info.replaces for info, _ in shown}
        for info, value in shown:
            other = values.get(info.hidden_if_equal_to)
            if other is not None and abs(value - other) <= 1e-3 * abs(other):
                hidden.add(info.name)
        return [(info, value) for info, value in shown if info.name not in hidden]

    def to_dict(self) -> dict[str, Any]:
        fields = {key: value for key, value in vars(self).items() if key not in ("statistics", "infos")}
        return fields | dict(self.statistics)


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of the shared weights on held-out seeds, as it stands in ``evaluations.jsonl``."""

    env_step: int
    update: int
    wall_time: float
    episodes: int
    deterministic: bool
    mean: float
    std: float
    median: float
    ci_low: float  # to ci_high: of the mean return, a percentile bootstrap's 95 % interval over episodes
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
