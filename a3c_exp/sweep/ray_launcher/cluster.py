"""A Ray cluster as a place where jobs run."""

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from a3c_exp.config.existing_runs import VARIABLE, ExistingRuns
from a3c_exp.sweep.launcher.job import JobSpec
from a3c_exp.sweep.launcher.sweep_progress import JobState
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.ray_launcher.host import PACKAGES, HostSpec, JobHost
from a3c_exp.sweep.ray_launcher.remote_job import RemoteJob
from a3c_exp.sweep.ray_launcher.run_files import read_changed
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import ConfigError, RunFailed
from a3c_exp.system.machine import package_versions
from a3c_exp.system.process_setup import usable_cores

_HEAD_SECONDS = 20.0
"""After so long without an answer the head counts as lost: after 40 to 85 Ray would end this process without a word."""
_MARKER = ".launcher"  # in the sweep's directory
_LOOK_SECONDS = 5.0  # between two looks at the head and at what nodes there are
_KNOCK_SECONDS = 5.0
_STORE_BYTES = 100 * 2**20  # nothing goes through Ray's object store but run directories


def connect(config: RayLauncherConfig) -> str:
    """Join the cluster, or begin one of this machine's own; returns the head's address. Raises ConfigError if there is none."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # by default workers yield to everything else
    try:
        import ray
    except ImportError:
        raise ConfigError("hydra/launcher=ray needs the package ray. Try pip install 'a3c_exp[ray]'") from None
    address = config.address or os.environ.get("RAY_ADDRESS") or "local"
    start = partial(ray.init, address=address, log_to_driver=False, logging_level=logging.ERROR)
    if address == "local":
        start = partial(start, num_cpus=usable_cores(), object_store_memory=_STORE_BYTES, include_dashboard=False)
    try:
        if not ray.is_initialized():
            if address not in ("local", "auto"):
                _knock(address)  # Ray itself would try for minutes
            start()
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"there is no Ray cluster at {address} ({said}). Start one with ray start --head, or leave hydra.launcher.address "
            "and RAY_ADDRESS out, for one of this machine alone"
        ) from None
    return str(ray.get_runtime_context().gcs_address)


class RayCluster:
    """The nodes of a cluster.

    Args:
        cores: how many cores a job keeps busy.
        directory: where its run will be.
        go_on: the command that goes on with the sweep, for messages.
    """

    def __init__(
        self,
        config: RayLauncherConfig,
        cores: Callable[[JobSpec], int],
        directory: Callable[[JobSpec], str],
        go_on: str,
    ) -> None:
        self._config, self._cores, self._directory, self._go_on = config, cores, directory, go_on
        self._head = connect(config)
        self._head_answered = self._looked = 0.0
        self._num_cores = self._largest_node = 1
        self._restarts = dict[int, int]()
        self._marked = set[Path]()
        self._is_lost = False
        self._token = secrets.token_hex(8)
        self._look()

    def num_to_prepare(self, jobs: Collection[JobState]) -> int:
        """Enough that every core has a job that is ready for it, and one more."""
        waiting = sum(not job.started for job in jobs)
        most = self._num_cores + 1 - waiting
        return most if self._config.n_jobs is None else min(most, self._config.n_jobs - len(jobs))

    def can_start(self, job: JobState, jobs: Collection[JobState]) -> bool:
        return True  # it has its cores, as its process runs

    def prepare(self, spec: JobSpec) -> RemoteJob:
        import ray

        config, directory = self._config, self._directory(spec)
        files = {} if config.shared else read_changed(directory, {})
        job = replace(spec, silence_timeout=2 * config.silence_timeout)
        marker = Path(directory).parent / _MARKER
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
        cores = min(config.cpus or self._cores(spec), self._largest_node)
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
            if self._is_lost:
                handle.forget()
            handle.close()
        for folder in self._marked:
            (folder / _MARKER).unlink(missing_ok=True)

    def _look(self) -> None:
        """Raise RunFailed once the head has been silent for too long; see what nodes there are."""
        import ray

        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            _knock(self._head)
        except OSError:
            if self._head_answered and now - self._head_answered > _HEAD_SECONDS:
                self._is_lost = True
                raise RunFailed(
                    f"the head of the cluster at {self._head} has not answered for {_HEAD_SECONDS:g} s. Its "
                    f"jobs save a checkpoint and end. Go on with {self._go_on}"
                ) from None
            return
        self._head_answered = now
        with suppress(ray.exceptions.RayError):
            nodes = ray.nodes()
            cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
            self._num_cores, self._largest_node = max(1, sum(cores)), max([1, *cores])


def _knock(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT, and ValueError if it is none."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
