"""``hydra/launcher=local``: as many jobs at a time as the machine's cores can take, each in a process of its own."""

import time
from collections.abc import Collection, Iterable, Sequence

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from a3c_exp.sweep.launcher.job import JobSpec
from a3c_exp.sweep.launcher.job_process import PRELOAD, JobProcess
from a3c_exp.sweep.launcher.launching import importable_name, launch_jobs
from a3c_exp.sweep.launcher.sweep_progress import JobState
from a3c_exp.system.child_process import HeartbeatTimer, end_all, wait_for_any
from a3c_exp.system.process_setup import usable_cores


def launch(
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    n_jobs: int | None,
    heartbeat_timeout: float,
) -> Sequence[JobReturn]:
    """``launch_jobs`` on this machine. Without ``n_jobs`` each job counts with the cores that it keeps busy, and one that needs
    more than there are runs alone."""
    start_fork_server((*PRELOAD, importable_name(task_function)[0]))
    arguments = context, task_function, config, job_overrides, first_number
    return launch_jobs(*arguments, lambda: LocalCores(n_jobs, heartbeat_timeout), compiles_ahead=True)


class LocalCores:
    """This machine's cores, or so many jobs at a time."""

    def __init__(self, n_jobs: int | None, heartbeat_timeout: float) -> None:
        self._capacity = usable_cores() if n_jobs is None else n_jobs
        self._by_cores = n_jobs is None
        self._timer = HeartbeatTimer(heartbeat_timeout)

    starts_in_order = True

    def num_to_prepare(self, jobs: Collection[JobState]) -> int:
        """As many as the free capacity, and one more, which composes while others train."""
        ready = sum(not job.started for job in jobs)
        return max(1, free_capacity(jobs, self._capacity, self._by_cores)) - ready

    def has_room(self, spec: JobSpec, jobs: Collection[JobState]) -> bool:
        return True  # its process needs no core before it starts

    def can_start(self, job: JobState, jobs: Collection[JobState]) -> bool:
        return can_start(job, jobs, self._capacity, self._by_cores)

    def prepare(self, spec: JobSpec) -> JobProcess:
        return JobProcess(spec)

    def wait(self, handles: Collection[JobProcess], timeout: float) -> None:
        wait_for_any(handles, timeout)
        self._timer.check()

    def cause_of_death(self, handle: JobProcess, job: JobState) -> str | None:
        if job.cores and not job.started:
            handle.last_heartbeat = time.monotonic()  # it waits for this process, in silence
        return handle.cause_of_death(self._timer)

    def another_try(self, handle: JobProcess, spec: JobSpec) -> JobSpec | None:
        return None  # what kills one here would kill the next

    def kill(self, handles: Collection[JobProcess]) -> None:
        end_all(list(handles), timeout=0.0)


def free_capacity(jobs: Iterable[JobState], capacity: int, by_cores: bool) -> int:
    """How much of the ``capacity``, in cores or in jobs, the jobs that have started leave."""
    return capacity - sum(_required_capacity(job, capacity, by_cores) for job in jobs if job.started)


def can_start(job: JobState, jobs: Iterable[JobState], capacity: int, by_cores: bool) -> bool:
    """Whether there is room for a job that is ready; one that needs more than the capacity may have all of it."""
    return job.cores > 0 and _required_capacity(job, capacity, by_cores) <= free_capacity(jobs, capacity, by_cores)


def _required_capacity(job: JobState, capacity: int, by_cores: bool) -> int:
    return min(job.cores, capacity) if by_cores else 1
