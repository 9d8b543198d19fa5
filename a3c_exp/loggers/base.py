"""What a place that results go to must offer. The trainer talks to a list of these and knows none by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from a3c_exp.config.budget import Budget
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status


@dataclass(frozen=True)
class RunInfo:
    """What a logger is told when a run starts.

    Attributes:
        directory: the run directory; everything a logger writes goes below it.
        name: what tells this run from its siblings (the overrides of a sweep's job, else the directory's name).
        group: the sweep it belongs to, or ``None``.
        job_type: ``train`` or, inside a sweep, ``sweep``.
        tags: words to filter by, such as the environment and the kind of parallelism.
        config: the full resolved configuration.
        budget: what ends the run, for progress and time left.
        resumed: whether an earlier session of the same run went before.
        start_env_step, start_episode, start_update: where this session begins (0 unless resumed).

    Of several seeds that train together, all figures are means over them; ``config["num_seeds"]`` says how many.
    """

    directory: Path
    name: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: JsonObject
    budget: Budget
    resumed: bool = False
    start_env_step: int = 0
    start_episode: int = 0
    start_update: int = 0


class Logger(Protocol):
    """Called from the main process only, in the order of events. Must never prompt, and never wait without a limit.

    A logger whose service fails says so once and goes on without it: results are safe in the run directory anyway.
    """

    def start(self, run: RunInfo) -> None: ...

    def episode(self, episode: EpisodeRecord) -> None: ...

    def metrics(self, metrics: MetricsRecord) -> None: ...

    def evaluation(self, evaluation: EvaluationRecord) -> None: ...

    def message(self, text: str) -> None:
        """Something a person should read: a dead worker, a fallback, an interruption."""

    def video(self, path: Path, env_step: int) -> None:
        """A video that was made at ``env_step``."""

    def screenshot(self, path: Path, env_step: int) -> None:
        """A screenshot that was taken at ``env_step``."""

    def finish(self, status: Status, summary: JsonObject) -> None:
        """The run is over for whatever reason; nothing is logged after this."""


class NullLogger:
    """Takes everything and keeps nothing: ``logger=none``, and the base of loggers that care for a few events only."""

    def start(self, run: RunInfo) -> None:
        pass

    def episode(self, episode: EpisodeRecord) -> None:
        pass

    def metrics(self, metrics: MetricsRecord) -> None:
        pass

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def video(self, path: Path, env_step: int) -> None:
        pass

    def screenshot(self, path: Path, env_step: int) -> None:
        pass

    def finish(self, status: Status, summary: JsonObject) -> None:
        pass
