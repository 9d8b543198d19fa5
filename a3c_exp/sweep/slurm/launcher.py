"""A sweep's runs in the queue of a cluster: submitted, followed, and asked to stop if a person says so."""

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from a3c_exp.runs.sweep_plan import read_sweep_plan
from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs
from a3c_exp.runs.sweeps.slurm_queue import QueuedTask, cancel_waiting, signal_running
from a3c_exp.sweep.launcher.sweep_progress import SweepProgress, job_names
from a3c_exp.sweep.planned.resume import jobs_to_launch
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig
from a3c_exp.sweep.slurm.followed_job import FollowedJob
from a3c_exp.sweep.slurm.submit import submit
from a3c_exp.system.cli import outcomes, print_notice
from a3c_exp.system.errors import SlurmError
from a3c_exp.system.signals import StopSignals

STOP_TIMEOUT = 120.0  # how long jobs are waited for that were asked to save a checkpoint and end
_POLL_SECONDS = 0.5
_READ_SECONDS = 2.0  # between two looks into the directories of runs
_STOP_POLL_SECONDS = 3.0  # between two calls of squeue while runs stop


def launch(directory: Path, settings: Mapping[str, Any]) -> Sequence[JobReturn]:
    """Submit what is left to do of the sweep planned in ``directory`` and not in the queue yet, and wait for its end, unless
    the command is not to wait. Raises ConfigError for impossible ``settings``; SlurmError if Slurm takes no jobs; SystemExit
    if a signal asked to stop, once every run had time to save a checkpoint."""
    options, plan = SlurmLauncherConfig.from_hydra(settings), read_sweep_plan(directory)
    numbers = jobs_to_launch(directory)
    jobs = [job for job in plan.jobs if numbers is None or job.number in numbers]
    if not jobs:
        return []
    known = SlurmJobs.read(directory)
    queued = known.queued()
    names = dict(zip((job.number for job in jobs), job_names([job.overrides for job in jobs]), strict=True))
    followed = [FollowedJob(plan, job, names[job.number]) for job in jobs]
    if there := [task.job_id for number, task in queued.items() if number in names]:
        print_notice(f"{directory}: {len(there)} of its runs {'is' if len(there) == 1 else 'are'} in Slurm's queue already")
    if missing := [job for job in jobs if job.number not in queued]:
        known = submit(plan, missing, known, options)
    if options.detach:
        outcomes.left_running = True
        print_notice(f"ask how they stand: python -m a3c_exp.runs status '{directory}'")
        return []
    progress = SweepProgress(directory, outcomes)
    with StopSignals() as stop:
        sweep = _SlurmSweep(known, followed, progress, options.poll_seconds)
        try:
            sweep.run(stop)
        finally:
            progress.close(stopped_by=stop.name if stop.requested() and stop.received != signal.SIGHUP else None)
    if stop.received == signal.SIGHUP:
        print_notice(f"{directory}: its runs go on in Slurm's queue. Ask: python -m a3c_exp.runs status '{directory}'")
    if stop.requested():
        raise SystemExit(stop.exit_code)
    return [job.result for job in followed if job.result is not None]


class _SlurmSweep:
    """The runs that are followed, and what the queue last said of them."""

    def __init__(self, jobs: SlurmJobs, followed: Sequence[FollowedJob], progress: SweepProgress, poll_seconds: float) -> None:
        self._jobs = jobs
        self._open = list(followed)
        self._progress = progress
        self._poll_seconds = poll_seconds
        self._next_query = self._next_read = 0.0
        self._problem = ""
        self._asked = set[str]()  # jobs that were asked to stop
        self._stopping = False

    def run(self, stop: StopSignals) -> None:
        """Follow all runs until each has ended. After a signal ask them to stop; but for the end of a terminal, which does not
        concern them."""
        deadline = 0.0
        while self._open:
            if stop.requested() and not self._stopping:
                if stop.received == signal.SIGHUP:
                    return
                self._stopping, deadline, self._next_query = True, time.monotonic() + STOP_TIMEOUT, 0.0
                self._progress.announce_stop("ends this command, not them")
            now = time.monotonic()
            if self._stopping and now > deadline:
                left = ", ".join(job.job_id for job in self._open if job.task is not None)
                print_notice(f"Slurm has not ended {left} yet; they were asked to")
                return
            if now >= self._next_query:
                self._ask_queue()
            if now >= self._next_read:
                self._next_read = now + _READ_SECONDS
                for job in list(self._open):
                    if job.task is not None and not job.task.waits:
                        self._look_at(job)
            self._progress.print_due_lines()
            time.sleep(_POLL_SECONDS)

    def _ask_queue(self) -> None:
        """One call of squeue, for all runs."""
        self._next_query = time.monotonic() + (_STOP_POLL_SECONDS if self._stopping else self._poll_seconds)
        try:
            queued = self._jobs.queued()
            if self._stopping:
                self._ask_to_stop([queued[job.number] for job in self._open if job.number in queued])
        except SlurmError as error:
            if str(error) != self._problem:
                print_notice(f"{error}. Asking again every {self._poll_seconds:g} s; the runs do not depend on it")
            self._problem = str(error)
            return
        self._problem = ""
        for job in list(self._open):
            job.update(queued.get(job.number))
            self._look_at(job)

    def _ask_to_stop(self, tasks: Sequence[QueuedTask]) -> None:
        if waiting := [task for task in tasks if task.waits]:
            cancel_waiting(waiting)
        if running := [task for task in tasks if task.state == "RUNNING" and task.job_id not in self._asked]:
            signal_running(running, "INT")
            self._asked.update(task.job_id for task in running)

    def _look_at(self, job: FollowedJob) -> None:
        """Show what has become of a run."""
        job.read()
        if job.has_ended(self._stopping):
            self._open.remove(job)
            if job.state.started or not self._stopping:
                if not job.state.started:
                    self._progress.start_job(job.state)
                job.conclude()
                self._progress.end_job(job.state)
            return
        if job.runs and not job.state.started:
            self._progress.start_job(job.state)
            self._progress.print_message(job.state, f"job {job.place}")
        elif job.state.started and not job.runs and job.task is not None:
            self._progress.restart_job(job.state, f"{job.status}; job {job.place}")
