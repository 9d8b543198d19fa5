"""One job of a sweep as the launcher knows it: its name, how far it is, how it ended."""

import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from a3c_exp.loggers.progress import RunProgress, summary_rows
from a3c_exp.runs.log_records import JsonObject, Status


class ReportedJobReturn(JobReturn):
    """A job's result whose failure was already reported: reading Hydra's own writes to standard error each time."""

    @classmethod
    def from_job_return(cls, result: JobReturn) -> "ReportedJobReturn":
        return cls(*(getattr(result, field.name) for field in fields(result)))

    @property
    def return_value(self) -> Any:
        assert self.status is not JobStatus.UNKNOWN, "return_value not yet available"
        if self.status is JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class JobState:
    """One job.

    Args:
        number: hydra.job.num.
        name: what distinguishes it from the others.

    Attributes:
        cores: how many it keeps busy; 0 until it has reported that.
        start_time: when it was started (before that: created), in monotonic seconds.
        directory: of its run.
        progress: what its console would show.
        status, summary: how its run ended, as the run reported it.
        failure_reason: why it failed.
        stop_exit_code: its exit code after it was asked to stop.
        result: for Hydra.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.cores = 0
        self.started = False
        self.start_time = time.monotonic()
        self.directory: Path | None = None
        self.progress: RunProgress | None = None
        self.status: Status | None = None
        self.summary: JsonObject = {}
        self.failure_reason: str | None = None
        self.stop_exit_code: int | None = None
        self.result: JobReturn | None = None

    def mark_started(self) -> None:
        self.started = True
        self.start_time = time.monotonic()

    @property
    def final_line(self) -> str:
        """How it ended: ``finished: 120 episodes, ... | evaluation -812 [-990, -633] over 10 episodes | <run directory>``"""
        if self.failure_reason is not None and self.status != "interrupted":
            return f"failed: {self.failure_reason}"
        if self.progress is None or self.status is None:
            return "finished"
        rows = dict(summary_rows(self.progress, self.status, self.summary))
        parts = [rows["trained"]]
        parts += [f"evaluation {rows['evaluation']}"] if "evaluation" in rows else []
        parts += [rows["speed"]] if "speed" in rows else []
        directory = rows["run directory"]
        parts.append(f"go on with resume={directory}" if self.status == "interrupted" else directory)
        return f"{rows['status']}: " + " | ".join(parts)


def job_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have; all of them if there is a single job.

    >>> job_names([["env=pendulum", "workers=4"], ["env=pendulum", "workers=6"]])
    ['workers=4', 'workers=6']
    >>> job_names([["env=pendulum", "+hydra.job.env_set.X=1"]])
    ['env=pendulum']
    """
    shown = [[override for override in job if not override.lstrip("+~").startswith("hydra.")] for job in jobs]
    common = set.intersection(*map(set, shown)) if len(shown) > 1 else set()
    return [" ".join(override for override in job if override not in common) or "defaults" for job in shown]
