"""The interface of loggers. The trainer has a list of them and depends on no kind."""

import sys
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.config.budget import Budget
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status


def to_stderr(text: str) -> None:
    """Where messages of a logger go that nobody else takes."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class RunInfo:
    """What a logger gets when a run starts. Numbers of seeds that train together are means over ``config["num_seeds"]``."""

    directory: Path  # the run directory; everything a logger writes goes below it
    name: str  # what distinguishes this run in its sweep (its job's overrides), else the directory's name
    group: str | None  # the sweep it belongs to
    job_type: str  # "train" or, inside a sweep, "sweep"
    tags: tuple[str, ...]  # words to filter by, such as the environment and the kind of parallelism
    config: JsonObject  # the full resolved configuration
    budget: Budget  # what ends the run, for progress and time left
    resumed: bool = False  # whether this session continues an earlier one
    start_env_step: int = 0  # where this session begins, as the next two
    start_episode: int = 0
    start_update: int = 0


class Logger:
    """Called from the main process only, in the order of events. It must not prompt, nor wait without a limit. A logger whose
    service fails reports that once and continues without it: the run directory has all results."""

    def start(self, run: RunInfo) -> None:
        """A session of the run starts."""

    def episode(self, episode: EpisodeRecord) -> None:
        """A training episode has ended."""

    def metrics(self, metrics: MetricsRecord) -> None:
        """Means over the last interval."""

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        """The weights were evaluated."""

    def message(self, text: str) -> None:
        """Something that the user should read: a dead worker, a fallback, an interruption."""

    def video(self, path: Path, env_step: int) -> None:
        """A video was written at ``env_step``."""

    def screenshot(self, path: Path, env_step: int) -> None:
        """A screenshot was written at ``env_step``."""

    def checkpoint(self, path: Path, env_step: int) -> None:
        """A checkpoint was written at ``env_step``, of one seed."""

    def sync(self) -> None:
        """A checkpoint is about to be written that counts on what was logged so far: that must survive a power failure."""

    def finish(self, status: Status, summary: JsonObject) -> None:
        """The run has ended, for whatever reason; nothing is logged after this."""


class NullLogger(Logger):
    """Discards everything: ``logger=none``."""
