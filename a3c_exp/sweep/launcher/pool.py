"""The jobs of a sweep on whatever they run on: made ready in order, started while there is room, watched, and ended."""

import signal
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from hydra.core.utils import JobReturn, JobStatus

from a3c_exp.runs.record import mark_dead_run
from a3c_exp.sweep.launcher.compile_ahead import CompileAhead
from a3c_exp.sweep.launcher.job import JobEnded, JobReport, JobSpec
from a3c_exp.sweep.launcher.job_process import STOP_TIMEOUT
from a3c_exp.sweep.launcher.sweep_progress import JobState, SweepProgress
from a3c_exp.system.cli import outcomes
from a3c_exp.system.errors import A3CError, RunFailed, RunLost
from a3c_exp.system.signals import StopSignals

_POLL_SECONDS = 0.2


class JobHandle(Protocol):
    """One job's process, here or elsewhere.

    Attributes:
        lost: it may still run, where nobody can see it.
    """

    lost: bool

    @property
    def pid(self) -> int: ...

    def output_lines(self, at_end: bool = False) -> list[str]:
        """Whole lines that it wrote since the last call; at its end the unfinished last one too."""

    def messages(self) -> Iterator[Any]:
        """What it has reported since the last call."""

    def send(self, message: Any) -> None:
        """Start the job, once it is ready."""

    def send_signal(self, number: int) -> None: ...

    def close(self) -> None:
        """Kill it if it still runs, and release what belongs to it."""


Handle = TypeVar("Handle", bound=JobHandle)


class JobPlace(Protocol[Handle]):
    """Where jobs run: the cores of this machine, or a cluster.

    Attributes:
        starts_in_order: whether a job waits for room until those before it have started. Not where a process that is ready has
            taken its cores already: those before it may wait for just these.
    """

    @property
    def starts_in_order(self) -> bool: ...

    def num_to_prepare(self, jobs: Collection[JobState]) -> int:
        """How many more processes to make ready, beside those of ``jobs``."""

    def has_room(self, spec: JobSpec, jobs: Collection[JobState]) -> bool:
        """Whether a process may be made ready for a job now, where ``jobs`` have theirs."""

    def can_start(self, job: JobState, jobs: Collection[JobState]) -> bool:
        """Whether there is room for a job whose process waits to start."""

    def prepare(self, spec: JobSpec) -> Handle:
        """Have a process made ready for a job."""

    def wait(self, handles: Collection[Handle], timeout: float) -> None:
        """Wait until a process says something or ends, at most ``timeout`` seconds. Raises RunFailed if all are lost."""

    def cause_of_death(self, handle: Handle, job: JobState) -> str | None:
        """How a process ended, to go behind its name in a sentence; ``None`` while it runs."""

    def another_try(self, handle: Handle, spec: JobSpec) -> JobSpec | None:
        """What goes on with a job whose process ended for no reason of its own; ``None``: nothing, it has failed."""

    def kill(self, handles: Collection[Handle]) -> None:
        """End processes at once, all together."""


class ReportedJobReturn(JobReturn):
    """A job's result whose failure was already reported: reading Hydra's own writes to standard error each time."""

    @property
    def return_value(self) -> Any:
        assert self.status is not JobStatus.UNKNOWN, "return_value not yet available"
        if self.status is JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class JobPool(Generic[Handle]):
    """The processes of a launch; with ``compile_ahead``, what waits is compiled meanwhile."""

    def __init__(
        self,
        waiting: Sequence[tuple[JobSpec, JobState]],
        progress: SweepProgress,
        place: JobPlace[Handle],
        compile_ahead: CompileAhead | None = None,
    ) -> None:
        self._waiting = list(waiting)
        self._progress, self._place, self._compile_ahead = progress, place, compile_ahead
        self._running: dict[Handle, tuple[JobSpec, JobState]] = {}
        self._end = f"did not end within {STOP_TIMEOUT:g} s when asked to, and was killed"  # of those that are left over

    def run(self, stop: StopSignals) -> None:
        """Run until every job has ended, or all have been stopped."""
        stopping, deadline = False, 0.0
        while self._running or (self._waiting and not stopping):
            if stop.requested() and not stopping:
                stopping, deadline = True, time.monotonic() + STOP_TIMEOUT
                self._request_stop(stop.received or signal.SIGTERM)
            if not stopping:
                self._prepare_processes()
                self._start_ready_jobs()
                if self._compile_ahead is not None:
                    for text in self._compile_ahead.update():
                        self._progress.print_notice(text)
            try:
                self._poll(stopping)
            except RunFailed:
                self._end = "was given up"
                raise
            if stopping and time.monotonic() > deadline:
                return

    @property
    def _jobs(self) -> list[JobState]:
        return [job for _, job in self._running.values()]

    def _prepare_processes(self) -> None:
        for _ in range(min(self._place.num_to_prepare(self._jobs), len(self._waiting))):
            if not self._place.has_room(self._waiting[0][0], self._jobs):
                return
            spec, job = self._waiting.pop(0)
            self._running[self._place.prepare(spec)] = spec, job

    def _start_ready_jobs(self) -> None:
        for handle, (_, job) in self._running.items():
            if not job.started:
                if job.cores == 0 or not self._place.can_start(job, self._jobs):
                    if self._place.starts_in_order:
                        return  # smaller jobs must not overtake a large one for ever
                    continue
                self._progress.start_job(job)
                handle.send(True)

    def _poll(self, stopping: bool) -> None:
        self._place.wait(self._running, _POLL_SECONDS)
        for handle, (_, job) in list(self._running.items()):
            self._read(handle, job)
            if (cause := self._place.cause_of_death(handle, job)) is not None:
                self._release(handle, cause, may_go_on=not stopping)
        self._progress.print_due_lines()

    def _read(self, handle: Handle, job: JobState, at_end: bool = False) -> None:
        for line in handle.output_lines(at_end):
            self._progress.print_message(job, line)
        for message in handle.messages():
            if isinstance(message, JobReport):
                self._progress.handle_report(job, message.method, *message.arguments)
            elif isinstance(message, JobEnded):
                job.result = ReportedJobReturn(**vars(message.result))
                if message.traceback_text:
                    self._progress.print_message(job, message.traceback_text.rstrip())

    def _release(self, handle: Handle, cause: str, may_go_on: bool) -> None:
        spec, job = self._running[handle]
        self._read(handle, job, at_end=True)
        pid = handle.pid
        self._running.pop(handle)
        handle.close()
        if job.result is None and may_go_on and (again := self._place.another_try(handle, spec)) is not None:
            self._progress.restart_job(job, f"its process {cause}; the job goes on elsewhere")
            self._waiting.insert(0, (again, job))
            return
        if not job.started:
            self._progress.start_job(job)  # it died before it could: a run that failed
        if job.result is None:
            where, reason = "", f"its process {cause}"
            if job.directory is not None:
                where = f"{job.directory}: "
            if job.directory is not None and not handle.lost:
                mark_dead_run(job.directory, pid, "failed", reason)
            error: Exception = (RunLost if handle.lost else RunFailed)(where + reason)
            job.result = ReportedJobReturn(overrides=job.name.split(), status=JobStatus.FAILED, _return_value=error)
        if job.result.status is JobStatus.FAILED:
            error = job.result._return_value
            job.failure_reason = str(error) if isinstance(error, A3CError) else f"{type(error).__name__}: {error}"
            outcomes.add_failure(f"failed: {job.name}: {job.failure_reason}", error)
        self._progress.end_job(job)

    def _request_stop(self, signal_number: int) -> None:
        for handle, (_, job) in list(self._running.items()):
            if job.started:
                handle.send_signal(signal_number)
            else:  # it has done nothing yet
                self._running.pop(handle)
                handle.close()
        self._progress.announce_stop()
        self._end_compilation()

    def kill_all(self) -> None:
        """Leave no process behind, whatever happened here."""
        self._end_compilation()
        self._place.kill(self._running)
        for handle in list(self._running):
            self._release(handle, self._end, may_go_on=False)

    def _end_compilation(self) -> None:
        if self._compile_ahead is not None:
            self._compile_ahead.close()
