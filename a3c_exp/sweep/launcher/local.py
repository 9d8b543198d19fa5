"""Several jobs of a sweep at a time, as many as the machine's cores can take, each in a process of its own."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from a3c_exp.runs.record import mark_dead_run
from a3c_exp.sweep.launcher.job import JobEnded, JobReport, JobSpec, main, pickle_hydra_state
from a3c_exp.sweep.launcher.sweep_progress import JobState, SweepProgress, job_names
from a3c_exp.sweep.planned.resume import jobs_to_launch
from a3c_exp.system.child_process import ChildProcess, HeartbeatTimer, end_all, wait_for_any
from a3c_exp.system.cli import command_line, outcomes
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.signals import StopSignals

PRELOAD = ("a3c_exp.sweep.launcher.preload",)  # what the fork server should import in addition to what workers need
STOP_TIMEOUT = 30.0  # how long runs may take to save a checkpoint and end when asked to stop, before they are killed
_POLL_SECONDS = 0.2
_READ_SIZE = 65536


def launch(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    n_jobs: int | None,
    heartbeat_timeout: float,
) -> Sequence[JobReturn]:
    """Run all jobs, as ``hydra.plugins.launcher.Launcher.launch`` promises; ``first_number`` is hydra.job.num of the first.
    Without ``n_jobs`` each counts with the cores that it keeps busy, and one that needs more than there are runs alone. Raises
    ConfigError if jobs cannot be sent to another process; SystemExit if a signal asked to stop, once every run had time to save
    a checkpoint."""
    function = importable_name(task_function)
    start_fork_server((*PRELOAD, function[0]))
    directory = Path(str(config.hydra.sweep.dir))
    directory.mkdir(parents=True, exist_ok=True)
    shared = pickle_hydra_state(context, config), function, command_line(), dict(os.environ), str(Path.cwd())
    specs = [JobSpec(first_number + index, list(overrides), *shared) for index, overrides in enumerate(job_overrides)]
    outcomes.total = max(outcomes.total, first_number + len(specs))
    names = job_names([spec.overrides for spec in specs])
    pairs = [(spec, JobState(spec.number, name)) for spec, name in zip(specs, names, strict=True)]
    if (numbers := jobs_to_launch(directory)) is not None:
        pairs = [(spec, job) for spec, job in pairs if spec.number in numbers]
    if not pairs:
        return []
    progress = SweepProgress(directory, outcomes)
    with StopSignals() as stop:
        pool = JobPool(pairs, progress, n_jobs, heartbeat_timeout)
        try:
            pool.run(stop)
        finally:
            pool.kill_all()
            progress.close(stopped_by=stop.name if stop.requested() else None)
    if stop.requested():
        raise SystemExit(stop.exit_code)
    return [job.result for _, job in pairs if job.result is not None]


def importable_name(task_function: TaskFunction) -> tuple[str, str]:
    """The module and name by which another process finds Hydra's function. Raises ConfigError if there are none."""
    module, name = sys.modules[task_function.__module__], task_function.__qualname__
    if module.__spec__ is None or getattr(module, name, None) is not task_function:
        raise ConfigError(
            f"hydra/launcher=local starts processes, and they could not find {name}, which is no function of an importable "
            "module. Try hydra/launcher=basic"
        )
    return module.__spec__.name, name  # which is not __main__ where python -m runs it


def free_capacity(jobs: Iterable[JobState], capacity: int, by_cores: bool) -> int:
    """How much of the ``capacity``, in cores or in jobs, the jobs that have started leave."""
    return capacity - sum(_required_capacity(job, capacity, by_cores) for job in jobs if job.started)


def can_start(job: JobState, jobs: Iterable[JobState], capacity: int, by_cores: bool) -> bool:
    """Whether there is room for a job that is ready; one that needs more than the capacity may have all of it."""
    return job.cores > 0 and _required_capacity(job, capacity, by_cores) <= free_capacity(jobs, capacity, by_cores)


def _required_capacity(job: JobState, capacity: int, by_cores: bool) -> int:
    return min(job.cores, capacity) if by_cores else 1


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


class JobProcess(ChildProcess):
    """One job's process and what it prints. No daemon: a run may start workers of its own. It ends when its pipe does."""

    def __init__(self, spec: JobSpec) -> None:
        self.output, child_output = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        self._partial_line = b""
        with child_output:
            super().__init__(main, (spec, child_output), "forkserver", f"job-{spec.number}", daemon=False)

    @property
    def waitables(self) -> list[Any]:
        return [*super().waitables, *([] if self.output.closed else [self.output])]

    def output_lines(self, at_end: bool = False) -> list[str]:
        """Whole lines that it wrote; at its end the unfinished last one too."""
        with suppress(BlockingIOError):
            while not self.output.closed:
                if not (content := os.read(self.output.fileno(), _READ_SIZE)):
                    self.output.close()
                self._partial_line += content
        whole, _, self._partial_line = self._partial_line.rpartition(b"\n")
        if at_end and self._partial_line:
            whole, self._partial_line = whole + b"\n" + self._partial_line, b""
        return [line for line in whole.decode(errors="replace").split("\n") if line.strip()]

    def close(self) -> None:
        super().close()
        self.output.close()


class JobPool:
    """The processes of a launch: made ready in order, started while there is room, and ended."""

    def __init__(
        self, waiting: list[tuple[JobSpec, JobState]], progress: SweepProgress, n_jobs: int | None, heartbeat_timeout: float
    ) -> None:
        self._waiting = waiting
        self._progress = progress
        self._capacity = usable_cores() if n_jobs is None else n_jobs
        self._by_cores = n_jobs is None
        self._timer = HeartbeatTimer(heartbeat_timeout)
        self._processes: dict[JobProcess, JobState] = {}

    def run(self, stop: StopSignals) -> None:
        """Run until every job has ended, or all have been stopped."""
        stopping, deadline = False, 0.0
        while self._processes or (self._waiting and not stopping):
            if stop.requested() and not stopping:
                stopping, deadline = True, time.monotonic() + STOP_TIMEOUT
                self._request_stop(stop.received or signal.SIGTERM)
            if not stopping:
                self._start_processes()
                self._start_ready_jobs()
            self._poll()
            if stopping and time.monotonic() > deadline:
                return

    def _start_processes(self) -> None:
        """Have processes ready for the free capacity, and one more, which composes while others train."""
        free = free_capacity(self._processes.values(), self._capacity, self._by_cores)
        ready = sum(not job.started for job in self._processes.values())
        while self._waiting and ready < max(1, free):
            spec, job = self._waiting.pop(0)
            self._processes[JobProcess(spec)] = job
            ready += 1

    def _start_ready_jobs(self) -> None:
        for process, job in self._processes.items():
            if not job.started:
                if not can_start(job, self._processes.values(), self._capacity, self._by_cores):
                    return  # in order: smaller jobs must not overtake a large one for ever
                self._progress.start_job(job)
                process.send(True)

    def _poll(self) -> None:
        wait_for_any(self._processes, _POLL_SECONDS)
        self._timer.check()
        for process, job in list(self._processes.items()):
            self._read(process, job)
            if job.cores and not job.started:
                process.last_heartbeat = time.monotonic()  # it waits for this process, in silence
            if (cause := process.cause_of_death(self._timer)) is not None:
                self._release(process, job, cause)
        self._progress.print_due_lines()

    def _read(self, process: JobProcess, job: JobState, at_end: bool = False) -> None:
        for line in process.output_lines(at_end):
            self._progress.print_message(job, line)
        for message in process.messages():
            if isinstance(message, JobReport):
                self._progress.handle_report(job, message.method, *message.arguments)
            elif isinstance(message, JobEnded):
                job.result = ReportedJobReturn(**vars(message.result))
                if message.traceback_text:
                    self._progress.print_message(job, message.traceback_text.rstrip())

    def _release(self, process: JobProcess, job: JobState, cause: str) -> None:
        self._read(process, job, at_end=True)
        pid = process.pid
        self._processes.pop(process)
        process.close()
        if not job.started:
            self._progress.start_job(job)  # it died before it could: a run that failed
        if job.result is None:
            where, reason = "", f"its process {cause}"
            if job.directory is not None:
                where = f"{job.directory}: "
                mark_dead_run(job.directory, pid, "failed", reason)
            error: Exception = RunFailed(where + reason)
            job.result = ReportedJobReturn(overrides=job.name.split(), status=JobStatus.FAILED, _return_value=error)
        if job.result.status is JobStatus.FAILED:
            error = job.result._return_value
            job.failure_reason = str(error) if isinstance(error, A3CError) else f"{type(error).__name__}: {error}"
            outcomes.add_failure(f"failed: {job.name}: {job.failure_reason}", error)
        self._progress.end_job(job)

    def _request_stop(self, signal_number: int) -> None:
        for process, job in list(self._processes.items()):
            if job.started:
                process.send_signal(signal_number)
            else:  # it has done nothing yet
                self._processes.pop(process)
                process.close()
        self._progress.announce_stop()

    def kill_all(self) -> None:
        """Leave no process behind, whatever happened here."""
        end_all(list(self._processes), timeout=0.0)
        for process, job in list(self._processes.items()):
            self._release(process, job, f"did not end within {STOP_TIMEOUT:g} s when asked to, and was killed")
