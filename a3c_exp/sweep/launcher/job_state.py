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
    """A job's result whose failure has been told already: Hydra's own writes to standard error whenever it is looked at."""

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
        name: what tells it from the others.

    Attributes:
        cores: how many it keeps busy; 0 until it has said so.
        start_time: when it began, in monotonic seconds, or was made.
        directory: of its run.
        progress: what its console would show.
        status, summary: how its run ended, in its own words.
        failure_reason: why it failed.
        stop_exit_code: the exit code with which it obeyed someone who asked it to stop.
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
        """How it ended, in a line: ``finished: evaluation -812 [-990, -633] over 10 episodes | ... | <run directory>``"""
        if self.failure_reason is not None and self.status != "interrupted":
            return f"failed: {self.failure_reason}"
        if self.progress is None or self.status is None:
            return "finished"
        rows = dict(summary_rows(self.progress, self.status, self.summary))
        figures = [f"evaluation {rows['evaluation']}"] if "evaluation" in rows else []
        figures += [rows["speed"]] if "speed" in rows else []
        if self.status == "interrupted":
            figures.append(f"go on with resume={rows['run directory']}")
        else:
            figures.append(rows["run directory"])
        return f"{rows['status']}: " + " | ".join([rows["trained"], *figures])

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.start_time


def job_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """What tells each job from the others: the overrides that not all of them have; all of a job that is alone.

    >>> names([["env=pendulum", "workers=4"], ["env=pendulum", "workers=6"]])
    ['workers=4', 'workers=6']
    >>> names([["env=pendulum", "+hydra.job.env_set.X=1"]])
    ['env=pendulum']
    """
    told = [[one for one in job if not one.lstrip("+~").startswith("hydra.")] for job in jobs]
    common = set.intersection(*(set(job) for job in told)) if len(told) > 1 else set()
    return [" ".join(one for one in job if one not in common) or "defaults" for job in told]
