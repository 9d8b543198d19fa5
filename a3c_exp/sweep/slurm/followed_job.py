"""One run of a sweep that is followed from another machine: by its directory, and by what the queue says of its job."""

from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan
from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs
from a3c_exp.runs.sweeps.slurm_queue import QueuedTask, why_it_ended
from a3c_exp.runs.tolerant_io import last_lines, mapping, printable
from a3c_exp.sweep.launcher.pool import ReportedJobReturn
from a3c_exp.sweep.launcher.sweep_progress import JobState
from a3c_exp.sweep.slurm.batch_script import output_file
from a3c_exp.sweep.slurm.run_follower import RunFollower
from a3c_exp.system.cli import outcomes
from a3c_exp.system.errors import RunFailed

_ABSENT_ANSWERS = 2  # of squeue without a job after which it is gone; a shared disk may be seconds late
_FINAL = ("finished", "pruned", "failed")


class FollowedJob:
    """A run, its place in the view, and its job in Slurm's queue."""

    def __init__(self, plan: SweepPlan, job: PlannedJob, name: str) -> None:
        self.number = job.number
        self.directory = plan.directory / job.folder
        self.state = JobState(job.number, name, directory=self.directory)
        self.task: QueuedTask | None = None
        self.result: JobReturn | None = None
        self._sweep = plan.directory
        self._overrides = list(job.overrides)
        self._follower = RunFollower(self.directory)
        self._absent = 0
        self._summary = RunSummary(self.directory)
        self._ended_before = self._ended
        self.job_id = ""

    @property
    def runs(self) -> bool:
        """Whether a process of it runs, as far as the queue knows."""
        return self.task is not None and not self.task.waits and self._begun

    @property
    def status(self) -> str:
        """What the run says of itself."""
        return f"{self._summary.status} ({self._summary.reason})" if self._summary.reason else str(self._summary.status)

    @property
    def place(self) -> str:
        """Its job, and where that is."""
        if self.task is None:
            return self.job_id
        return (
            f"{self.task.job_id} waits ({self.task.reason})" if self.task.waits else f"{self.task.job_id} on {self.task.nodes}"
        )

    def update(self, task: QueuedTask | None) -> None:
        """Take note of an answer of the queue."""
        self.task = task
        self._absent = 0 if task is not None else self._absent + 1
        self.job_id = self.job_id if task is None else task.job_id
        if task is not None and task.waits:
            self._follower = RunFollower(self.directory)  # whose speed is that of one session

    def read(self) -> None:
        """Look into the run's directory."""
        self._summary = RunSummary(self.directory)
        if self.task is not None and not self.task.waits and self._begun:
            self.state.progress = self._follower.read()

    def has_ended(self, stopping: bool) -> bool:
        """Whether nothing more is to come: the run says so, or its job has left the queue."""
        if self._begun and self._summary.status in _FINAL and self._ended != self._ended_before:
            return True
        return self._absent >= (1 if stopping else _ABSENT_ANSWERS)

    def conclude(self) -> None:
        """Note how it ended, for the view, for the command's exit code and for Hydra."""
        state, status = self.state, str(self._summary.status) if self._begun else "missing"
        state.progress = self._follower.read() or state.progress
        if status in ("finished", "pruned"):
            state.status, state.summary = "finished" if status == "finished" else "pruned", self._summary.summary_json
            self.result = ReportedJobReturn(
                overrides=self._overrides, status=JobStatus.COMPLETED, _return_value=self._summary.result("evaluation")
            )
            return
        if status == "interrupted":
            state.status, state.summary = "interrupted", self._summary.summary_json
            state.failure_reason = f"{self.directory}: stopped by {self._summary.reason}"
        elif status == "failed":
            state.status, state.failure_reason = "failed", f"{self.directory}: {self._summary.reason}"
        else:
            state.failure_reason = self._why_gone()
        error = RunFailed(state.failure_reason)
        self.result = ReportedJobReturn(overrides=self._overrides, status=JobStatus.FAILED, _return_value=error)
        outcomes.add_failure(f"failed: {state.name}: {state.failure_reason}", error)

    def _why_gone(self) -> str:
        """Of a run that says nothing of its end."""
        jobs = SlurmJobs.read(self._sweep)
        job_id = self.job_id or jobs.job_ids().get(self.number, "")
        ended = f"{self.directory}: job {job_id} has ended as {why_it_ended(job_id)}, and the run has not said why"
        logs = [output_file(self._sweep, array, self.number) for array in jobs.arrays if self.number in array.numbers]
        for line in last_lines(logs[-1]) if logs else ():
            if text := printable(line.decode(errors="replace").strip()):
                return f"{ended}; the last line of {logs[-1]} is: {text}"
        return ended

    @property
    def _begun(self) -> bool:
        return bool(self._summary.run_json)

    @property
    def _ended(self) -> Any:
        return mapping(self._summary.run_json.get("timings")).get("ended")
