"""A Ray cluster as a place where jobs run."""

import json
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from a3c_exp.config.existing_runs import VARIABLE, ExistingRuns
from a3c_exp.sweep.launcher.job import JobSpec
from a3c_exp.sweep.launcher.sweep_progress import JobState
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.ray_launcher.host import HostSpec, JobHost
from a3c_exp.sweep.ray_launcher.remote_job import RemoteJob
from a3c_exp.sweep.ray_launcher.run_cores import RunCores
from a3c_exp.sweep.ray_launcher.run_files import read_changed
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import RunFailed
from a3c_exp.system.machine import package_versions
from a3c_exp.system.ray.cluster import HEAD_SECONDS, PACKAGES, HeadWatch, check_reachable, connect

_MARKER = ".launcher"  # with a token behind it, in the sweep's directory; trials of a study are launched by several commands


class RayCluster:
    """The nodes of a cluster.

    Args:
        run_cores: how many cores a job takes.
        directory: where its run will be.
        go_on: the command that goes on with the sweep, for messages.
    """

    def __init__(
        self,
        config: RayLauncherConfig,
        run_cores: Callable[[JobSpec], RunCores],
        directory: Callable[[JobSpec], str],
        go_on: str,
    ) -> None:
        self._config, self._run_cores, self._directory, self._go_on = config, run_cores, directory, go_on
        self._needs: dict[int, RunCores] = {}
        address = connect(config.address, "hydra/launcher=ray", "hydra.launcher.address")
        check_reachable(address, "hydra.launcher.address")  # joined earlier, perhaps, by this process; Ray itself would wait
        self._head = HeadWatch(address)
        self._num_cores = self._largest_node = 1
        self._restarts = dict[int, int]()
        self._marked = set[Path]()
        self._token = secrets.token_hex(8)
        self._marker = f"{_MARKER}-{self._token}"
        self._look()

    starts_in_order = False

    def num_to_prepare(self, jobs: Collection[JobState]) -> int:
        """Enough that every core has a job that is ready for it, and one more."""
        waiting = sum(not job.started for job in jobs)
        most = self._num_cores + 1 - waiting
        return most if self._config.n_jobs is None else min(most, self._config.n_jobs - len(jobs))

    def has_room(self, spec: JobSpec, jobs: Collection[JobState]) -> bool:
        """Whether there are cores for its run and for processes that this places on the cluster. Runs without such ask Ray."""
        if spec.number not in self._needs:
            self._needs[spec.number] = self._run_cores(spec)
        needs = [self._needs[number] for number in (spec.number, *(job.number for job in jobs))]
        is_shared = any(run.processes for run in needs)
        return not (jobs and is_shared) or sum(run.all for run in needs) <= self._num_cores

    def can_start(self, job: JobState, jobs: Collection[JobState]) -> bool:
        return True  # it has its cores, as its process runs

    def prepare(self, spec: JobSpec) -> RemoteJob:
        import ray

        config, directory = self._config, self._directory(spec)
        files = {} if config.shared else read_changed(directory, {})
        job = replace(spec, silence_timeout=2 * config.silence_timeout)
        marker = Path(directory).parent / self._marker
        self._marked.add(marker.parent)
        write_atomically(marker, self._token, durable=False)
        host = HostSpec(
            job,
            directory,
            package_versions(PACKAGES),
            str(marker),
            self._token,
            config.shared,
            files,
            config.silence_timeout,
            config.heartbeat_timeout,
        )
        cores = min(self._needs[spec.number].own, self._largest_node)
        options = {
            "num_cpus": cores,
            "resources": {config.resource: 1} if config.resource else {},
            "max_restarts": 0,
            "max_concurrency": 4,
        }
        return RemoteJob(ray.remote(JobHost).options(**options).remote(host), directory)

    def wait(self, handles: Collection[RemoteJob], timeout: float) -> None:
        import ray

        self._look()
        asked = {handle.reply: handle for handle in handles if handle.reply is not None}
        if not asked:
            time.sleep(timeout)
            return
        ray.wait(list(asked), num_returns=1, timeout=timeout)
        for reply in ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]:
            handle = asked[reply]
            try:
                handle.take(ray.get(reply))
            except ray.exceptions.ActorUnavailableError:  # it may come back, or be said to be dead later
                handle.reply = handle.actor.poll.remote()
            except ray.exceptions.RayError as error:
                handle.lose(f"was lost with its node or its host process ({type(error).__name__})")
        now = time.monotonic()
        for handle in asked.values():
            if handle.cause is None and handle.heard is not None and now - handle.heard > self._config.silence_timeout:
                handle.lose(f"on {handle.node} has not answered for {self._config.silence_timeout:g} s")

    def cause_of_death(self, handle: RemoteJob, job: JobState) -> str | None:
        return handle.cause

    def another_try(self, handle: RemoteJob, spec: JobSpec) -> JobSpec | None:
        tries = self._restarts.get(spec.number, 0)
        if not handle.lost or tries >= self._config.max_restarts:
            return None
        self._restarts[spec.number] = tries + 1
        go_on = ExistingRuns(resume=True, retry_failed=True, trusted=ExistingRuns.of_this_process().trusted)
        return replace(spec, environment_variables={**spec.environment_variables, VARIABLE: json.dumps(asdict(go_on))})

    def kill(self, handles: Collection[RemoteJob]) -> None:
        for handle in handles:
            if self._head.is_lost:
                handle.forget()
            handle.close()
        for folder in self._marked:
            (folder / self._marker).unlink(missing_ok=True)

    def _look(self) -> None:
        """Raise RunFailed once the head has been silent for too long; see what nodes there are."""
        import ray

        answered = self._head.look()
        if self._head.is_lost:
            raise RunFailed(
                f"the head of the cluster at {self._head.address} has not answered for {HEAD_SECONDS:g} s. Its "
                f"jobs save a checkpoint and end. Go on with {self._go_on}"
            )
        if answered:
            with suppress(ray.exceptions.RayError):
                nodes = ray.nodes()
                cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
                self._num_cores, self._largest_node = max(1, sum(cores)), max([1, *cores])
