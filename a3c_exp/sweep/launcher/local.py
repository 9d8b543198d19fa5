"""Several jobs of a sweep at a time, as many as the machine's cores can take, each in a process of its own."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from a3c_exp.runs.record import mark_dead_run
from a3c_exp.sweep.launcher.exit_status import outcomes
from a3c_exp.sweep.launcher.job import JobEnded, JobReady, JobSpec, JobStarted, JobStopped, LogMessage, pickle_hydra_state
from a3c_exp.sweep.launcher.job_process import JobProcess, startup_timeout
from a3c_exp.sweep.launcher.job_state import JobState, ReportedJobReturn, job_names
from a3c_exp.sweep.launcher.sweep_progress import SweepProgress
from a3c_exp.system.cli import command_line
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed
from a3c_exp.system.process_setup import describe_exit, usable_cores
from a3c_exp.system.signals import StopSignals

PRELOAD = ("a3c_exp.sweep.launcher.preload",)
"""What the fork server should import beside what workers need."""
STOP_TIMEOUT = 30.0
"""How long runs may take to save a checkpoint and end when asked to stop, before they are killed."""
_POLL_SECONDS = 0.2


def launch(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    n_jobs: int | None,
    heartbeat_timeout: float,
) -> Sequence[JobReturn]:
    """Run all jobs; what ``hydra.plugins.launcher.Launcher.launch`` promises.

    Args:
        context, task_function, config: as Hydra gave them to the launcher.
        job_overrides: each job's, sweeps resolved.
        first_number: hydra.job.num of the first.
        n_jobs: jobs at a time; ``None`` for as many as find cores: each is counted with as many as it keeps busy, and one
            that wants more than there are runs alone.
        heartbeat_timeout: seconds without a sign of life after which a job's process counts as dead and is killed.

    Returns:
        In the order of ``job_overrides``. A job that died has an error that says how.

    Raises:
        ConfigError: nothing of this can be sent to another process.
        SystemExit: someone asked to stop; every run was given time to save a checkpoint.
    """
    start_fork_server((*PRELOAD, importable_name(task_function)[0]))
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    orders = _job_specs(context, task_function, config, job_overrides, first_number)
    if not orders:
        return []
    outcomes.total = max(outcomes.total, first_number + len(orders))
    labels = job_names([order.overrides for order in orders])
    entries = [JobState(order.number, label) for order, label in zip(orders, labels, strict=True)]
    board = SweepProgress(Path(str(config.hydra.sweep.dir)), outcomes.total, outcomes.num_started, len(outcomes.failures))
    with StopSignals() as stop:
        crew = JobPool(orders, entries, board, usable_cores() if n_jobs is None else n_jobs, n_jobs is None, heartbeat_timeout)
        try:
            crew.run(stop)
        finally:
            crew.kill_all()
            board.close(stopped_by=stop.name if stop.requested() else None)
    if stop.requested():
        raise SystemExit(stop.exit_code)
    return [entry.result for entry in entries if entry.result is not None]


def importable_name(task_function: TaskFunction) -> tuple[str, str]:
    """The module and the name under which another process finds the function that Hydra calls.

    Raises:
        ConfigError: it cannot be found by a name.
    """
    module = sys.modules[task_function.__module__]
    name = task_function.__qualname__
    spec = getattr(module, "__spec__", None)
    if (task_function.__module__ == "__main__" and spec is None) or getattr(module, name, None) is not task_function:
        raise ConfigError(
            f"hydra/launcher=local starts processes, and they could not find {name}, which is no function of an importable "
            "module. Try hydra/launcher=basic"
        )
    return (spec.name if task_function.__module__ == "__main__" and spec else task_function.__module__), name


def _job_specs(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
) -> list[JobSpec]:
    sweep, name, command = pickle_hydra_state(context, config), importable_name(task_function), command_line()
    environment, folder = dict(os.environ), str(Path.cwd())
    return [
        JobSpec(first_number + index, list(overrides), sweep, name, command, environment, folder)
        for index, overrides in enumerate(job_overrides)
    ]


def free_capacity(jobs: Iterable[JobState], capacity: int, by_cores: bool) -> int:
    """How much of the ``capacity``, in cores or in jobs, is left beside those that have begun."""
    return capacity - sum(_required_capacity(entry, capacity, by_cores) for entry in jobs if entry.started)


def can_start(job: JobState, jobs: Iterable[JobState], capacity: int, by_cores: bool) -> bool:
    """Whether there is room for one that is ready; one that wants more than there is at all may have all of it."""
    return job.cores > 0 and _required_capacity(job, capacity, by_cores) <= free_capacity(jobs, capacity, by_cores)


def _required_capacity(job: JobState, capacity: int, by_cores: bool) -> int:
    return min(job.cores, capacity) if by_cores else 1


class JobPool:
    """The processes of a launch: in their order made ready, begun while there is room, listened to, and ended."""

    def __init__(
        self,
        specs: Sequence[JobSpec],
        jobs: Sequence[JobState],
        progress: SweepProgress,
        capacity: int,
        by_cores: bool,
        heartbeat_timeout: float,
    ) -> None:
        self._waiting = list(zip(specs, jobs, strict=True))
        self._progress = progress
        self._capacity = capacity
        self._by_cores = by_cores
        self._heartbeat_timeout = heartbeat_timeout
        self._processes: dict[JobProcess, JobState] = {}
        self._last_poll = self._awake_since = time.monotonic()

    def run(self, stop: StopSignals) -> None:
        """Until every job is over, or all have been stopped."""
        asked, deadline = False, 0.0
        while self._processes or (self._waiting and not asked):
            if stop.requested() and not asked:
                asked, deadline = True, time.monotonic() + STOP_TIMEOUT
                self._request_stop(stop.received or signal.SIGTERM)
            if not asked:
                self._start_processes()
                self._start_ready_jobs()
            self._poll()
            if asked and time.monotonic() > deadline:
                return

    def _start_processes(self) -> None:
        """Have processes ready for the room there is, and one more, which composes while others train."""
        room = free_capacity(self._processes.values(), self._capacity, self._by_cores)
        ready = sum(not entry.started for entry in self._processes.values())
        while self._waiting and ready < max(1, room):
            order, entry = self._waiting.pop(0)
            self._processes[JobProcess(order)] = entry
            ready += 1

    def _start_ready_jobs(self) -> None:
        for process, entry in self._processes.items():
            if not entry.started:
                if not can_start(entry, self._processes.values(), self._capacity, self._by_cores):
                    return  # in their order: a large one is not passed by for ever
                self._record_start(entry)
                process.send_start()

    def _record_start(self, job: JobState) -> None:
        job.mark_started()
        outcomes.num_started += 1
        self._progress.start_job(job)

    def _poll(self) -> None:
        sources = [source for process in self._processes for source in process.waitables]
        wait(sources, _POLL_SECONDS)
        for process, entry in list(self._processes.items()):
            ended = process.exitcode is not None  # asked before reading, so that nothing it said is missed
            for line in process.output_lines(at_end=ended):
                self._progress.print_message(entry, line)
            self._handle_messages(process, entry)
            if ended:
                self._release_ended(process, entry, describe_exit(process.exitcode or 0))
            elif self._is_heartbeat_overdue(process):
                process.kill()
                self._handle_messages(process, entry)
                self._release_ended(process, entry, f"gave no sign of life for {self._heartbeat_timeout:g} s and was killed")
        self._last_poll = time.monotonic()
        self._progress.print_due_lines()

    def _handle_messages(self, process: JobProcess, job: JobState) -> None:
        for word in process.messages():
            match word:
                case JobReady():
                    job.cores = word.cores
                case JobStarted():
                    job.directory = Path(word.directory)
                case LogMessage():
                    self._progress.handle_log_message(job, word.method, *word.arguments)
                case JobStopped():
                    job.stop_exit_code = word.exit_code
                case JobEnded():
                    job.result = ReportedJobReturn.from_job_return(word.result)
                    if word.traceback_text:
                        self._progress.print_message(job, word.traceback_text.rstrip())

    def _is_heartbeat_overdue(self, process: JobProcess) -> bool:
        now = time.monotonic()
        if now - self._last_poll > self._heartbeat_timeout / 2:
            self._awake_since = now  # this process itself was away (Ctrl-Z, a suspended machine): everyone gets the time again
        entry = self._processes[process]
        if not entry.started and entry.cores:
            return False  # ready, and waits for us
        limit = self._heartbeat_timeout if entry.started else startup_timeout(self._heartbeat_timeout)
        return now - max(process.last_heartbeat, self._awake_since, entry.start_time) > limit

    def _release_ended(self, process: JobProcess, job: JobState, cause: str) -> None:
        pid = process.pid
        process.close()
        del self._processes[process]
        if not job.started:
            self._record_start(job)  # it died before it could: a run that failed
        if job.result is None:
            self._record_death(job, pid, cause)
        assert job.result is not None
        if job.result.status is JobStatus.FAILED:
            error: Any = job.result._return_value
            job.failure_reason = str(error) if isinstance(error, A3CError) else f"{type(error).__name__}: {error}"
            outcomes.add_failure(f"failed: {job.name}: {job.failure_reason}", error)
        self._progress.end_job(job)

    def _record_death(self, job: JobState, pid: int, cause: str) -> None:
        if job.stop_exit_code is not None:
            who = {130: "Ctrl-C", 143: "SIGTERM"}.get(job.stop_exit_code, f"exit code {job.stop_exit_code}")
            reason = f"stopped by {who}"
        else:
            reason = f"its process {cause}"
            if job.directory is not None:
                mark_dead_run(job.directory, pid, "failed", reason)
        where = f"{job.directory}: " if job.directory is not None else ""
        job.result = ReportedJobReturn(overrides=job.name.split(), status=JobStatus.FAILED)
        job.result.return_value = RunFailed(f"{where}{reason}")

    def _request_stop(self, signal_number: int) -> None:
        for process, entry in list(self._processes.items()):
            if entry.started:
                process.send_signal(signal_number)
            else:  # it has done nothing yet
                process.kill()
                process.close()
                del self._processes[process]
        self._progress.announce_stop()

    def kill_all(self) -> None:
        """Nothing is left behind, whatever happened here."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)  # all at once, then each is waited for
        for process, entry in list(self._processes.items()):
            process.kill()
            self._handle_messages(process, entry)
            self._release_ended(process, entry, f"did not end within {STOP_TIMEOUT:g} s when asked to, and was killed")
