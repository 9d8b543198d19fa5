"""The gateway process: the one that talks to the cluster. It has a worker loop for each group, which works on another machine.

What worker processes are for the parameter server of one machine, threads of this process are here: each takes its group's
share of the budget, fills its workers' slots and waits for the server's answer, with the same code. If Ray ends this process,
as it does without a word when the cluster's head is gone, server, weights and main process are not touched.
"""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from a3c_exp.parallelism.base import MessageEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import Failure, ProcessControl, run_in_worker
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots
from a3c_exp.parallelism.ray.actor_transport import INLINE_SETTINGS, ActorTransport, Placement
from a3c_exp.parallelism.ray.gradient_dtype import GradientDtype
from a3c_exp.parallelism.ray.group_thread import GroupThread
from a3c_exp.parallelism.ray.messages import GroupSpec
from a3c_exp.system.child_process import HEARTBEAT_SECONDS, ParentPipe
from a3c_exp.system.errors import A3CError, ConfigError, WorkerError
from a3c_exp.system.memory import disable_malloc_trim, share_malloc_arena
from a3c_exp.system.ray.cluster import HEAD_SECONDS, HeadWatch, connect
from a3c_exp.system.ray.node import NodeDescription
from a3c_exp.system.signals import leave_to_parent

_LOOK_SECONDS = 0.1  # between two looks at groups, head and main process
_PATIENCE_SECONDS = 30.0  # after so long it is said that groups wait for a node
_SHUTDOWN_SECONDS = 5.0  # how long leaving the cluster may take


@dataclass(frozen=True)
class GatewayOptions:
    """Which cluster, and what is waited for how long, in seconds."""

    address: str | None
    placement: Placement
    worker_timeout: float
    lock_timeout: float
    wait_for_nodes: float
    store_bytes: int  # of a cluster of this machine's own
    pull_together: bool | None  # as in ``Sharing``
    gradient_dtype: GradientDtype


def main(
    setup: TrainingSetup,
    options: GatewayOptions,
    slot: int,
    groups: Sequence[Sequence[int]],
    gradient_slots: GradientSlots,
    counters: SharedCounters,
    lock_path: Path,
    gradients_ready: Sequence[Connection],
    weights_ready: Sequence[Connection],
    pipe: Connection,
) -> None:
    """Entry of the process."""

    def run() -> None:
        gateway = Gateway(setup, options, slot, counters, pipe)
        for group, workers in enumerate(groups):
            own = gradients_ready[group], weights_ready[group]
            gateway.add(GroupThread(gateway, group, workers, gradient_slots, lock_path, *own))
        gateway.run()

    run_in_worker(run, pipe)


class Gateway:
    """What the threads of all groups share.

    Args:
        slot: the process's row of the ``counters``; those of groups come before it.
        pipe: to the main process.
    """

    def __init__(
        self, setup: TrainingSetup, options: GatewayOptions, slot: int, counters: SharedCounters, pipe: Connection
    ) -> None:
        self.setup, self.options, self.counters, self.pipe = setup, options, counters, pipe
        self.send = ParentPipe(pipe).send
        self.node: NodeDescription | None = None  # this machine, with which others must agree
        self.error: str | None = None  # the traceback of a thread that failed
        self._control = ProcessControl(slot, counters, pipe, self.send)
        self._threads: list[GroupThread] = []
        self._failed = False
        self.head_is_lost = False

    def make_host(self, spec: GroupSpec) -> ActorTransport:
        """A new host for a group, wherever there is room."""
        return ActorTransport(spec, self.options.placement)

    def add(self, thread: GroupThread) -> None:
        self._threads.append(thread)

    def run(self) -> None:
        """Keep all groups at work until the command to stop, or until the main process is gone."""
        self._control.heartbeat()
        _be_silent()
        os.environ.update(INLINE_SETTINGS)
        disable_malloc_trim()
        share_malloc_arena()
        try:
            address = connect(self.options.address, "parallelism=ray", "parallelism.address", self.options.store_bytes)
        except ConfigError as error:
            self.fail(error)
            self._wait_for_end()
            return
        leave_to_parent()  # Ray has its own idea of what signals mean
        head = HeadWatch(address)
        self.node = NodeDescription.of_this_machine()
        for thread in self._threads:
            thread.start()
        self._watch(head)
        self._leave(head)

    def _watch(self, head: HeadWatch) -> None:
        began = beaten = last_at_work = time.monotonic()
        is_said = False
        while any(thread.is_alive() for thread in self._threads) and not self._control.parent_exited():
            now = time.monotonic()
            self._control.heartbeat()
            if self.error is not None:
                raise RuntimeError(self.error)
            if now - beaten > HEARTBEAT_SECONDS:
                beaten = now
                for thread in self._threads:
                    thread.beat()
            at_work = [thread for thread in self._threads if thread.is_at_work]
            if at_work:
                last_at_work = now
            if not is_said and now - began > _PATIENCE_SECONDS:
                is_said = True
                self._say_who_waits(len(self._threads) - len(at_work))
            head.look()
            self.head_is_lost = head.is_lost
            if head.is_lost:
                self.fail(WorkerError(
                    f"the head of the cluster at {head.address} has not answered for {HEAD_SECONDS:g} s. Go on from the last "
                    "checkpoint with resume=RUN_DIR, on another cluster with parallelism.address=HOST:PORT, or on this machine "
                    "alone with parallelism.address=local"
                ))  # fmt: skip
            elif now - last_at_work > self.options.wait_for_nodes:
                self.fail(WorkerError(
                    f"the cluster at {head.address} has had no node with {self._room()} for {self.options.wait_for_nodes:g} s "
                    "(parallelism.wait_for_nodes). Start nodes, then go on from the last checkpoint with resume=RUN_DIR"
                ))  # fmt: skip
            time.sleep(_LOOK_SECONDS)

    def _room(self) -> str:
        cores, resource = self.options.placement.cores, self.options.placement.resource
        return f"{cores} core{'s' * (cores > 1)} free" + (f" and the resource {resource}" if resource else "")

    def _say_who_waits(self, waiting: int) -> None:
        if waiting:
            subject = f"{waiting} of {len(self._threads)} worker groups still wait"
            self.send(MessageEvent(f"{subject} for a node with {self._room()}; the others go on without them"))

    def fail(self, error: A3CError) -> None:
        """Have the main process end the training; groups go on until it says so."""
        if not self._failed:
            self._failed = True
            self.send(Failure(error))

    def _wait_for_end(self) -> None:
        while self._control.poll_commands():
            time.sleep(_LOOK_SECONDS)

    def _leave(self, head: HeadWatch) -> None:
        """Leave the cluster, which ends one that was begun here. Ray sets itself no limit."""
        import ray

        timer = threading.Timer(_SHUTDOWN_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()
        if head.is_lost:
            os._exit(0)  # there is nobody to take leave of; hosts end when they hear nothing
        ray.shutdown()
        timer.cancel()


def _be_silent() -> None:
    """Ray writes what it thinks of every process that ends into the live view; what matters of it the main process is told."""
    with Path(os.devnull).open("w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
