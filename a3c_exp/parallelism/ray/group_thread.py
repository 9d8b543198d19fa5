"""One group of workers as the gateway sees it: a thread with a worker loop, which works on one host after another."""

import threading
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import Command, WorkerBudget
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener
from a3c_exp.parallelism.multiprocess.worker_loop import ProcessWorkers, WorkerLoop
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots
from a3c_exp.parallelism.parameter_server.worker import ParameterServerExchange
from a3c_exp.parallelism.ray.actor_transport import ActorTransport
from a3c_exp.parallelism.ray.messages import FromGroup, GroupDeath, GroupSpec, Prepared
from a3c_exp.parallelism.ray.remote_group import GroupLost, RemoteGroup, Unavailable
from a3c_exp.system.child_process import Crash
from a3c_exp.system.errors import EnvInterfaceError, WorkerError

if TYPE_CHECKING:
    from a3c_exp.parallelism.ray.gateway import Gateway

STOP_SECONDS = 8.0  # how long a group may take for its last window after the command to stop
_LOOK_SECONDS = 0.1  # between two looks at whether a host is ready
_SILENCE_SECONDS = 30.0  # how much longer than ``worker_timeout`` a host waits for its gateway before it ends


class GroupThread:
    """The thread of one group: its loop, on one host after another.

    Args:
        group: its number, which is its row of the counters.
        workers: their numbers.
        gradients_ready: wakes the server.
        weights_ready: by which the server wakes this thread.
    """

    def __init__(
        self,
        gateway: "Gateway",
        group: int,
        workers: Sequence[int],
        gradient_slots: GradientSlots,
        lock_path: Path,
        gradients_ready: Connection,
        weights_ready: Connection,
    ) -> None:
        self._gateway, self._number, self._workers = gateway, group, workers
        setup, counters, options = gateway.setup, gateway.counters, gateway.options

        def send(message: object) -> None:
            gateway.send(FromGroup(group, message))

        self._control = ProcessControl(group, counters, gateway.pipe, send)
        lock = OwnedLock(lock_path, counters.lock_owner, options.lock_timeout, self._control.heartbeat)
        budget = WorkerBudget(setup, counters, group, len(workers), lock)
        slots = slice(workers[0], workers[-1] + 1)
        weights, gradients = gradient_slots.weights[slots], gradient_slots.gradients[slots]
        shared = counters, budget, self._timeout, self._on_wait
        self._group = RemoteGroup(setup, weights, gradients, workers, group, *shared)
        process_workers = ProcessWorkers(setup, self._control, budget, self._group)
        listener = WakeupListener([weights_ready], gateway.pipe)
        self._exchange = ParameterServerExchange(process_workers, gradient_slots, gradients_ready, listener)
        self._loop = WorkerLoop(process_workers, self._exchange)
        self._thread = threading.Thread(target=self._run, name=f"group-{group}", daemon=True)
        self.start, self.is_alive = self._thread.start, self._thread.is_alive
        self._transport: ActorTransport | None = None
        self.is_at_work = False

    def beat(self) -> None:
        """Tell its host that somebody is here."""
        transport = self._transport
        if transport is not None:
            transport.beat()

    def _run(self) -> None:
        try:
            self._exchange.settle_pending()
            incarnation = 0
            while self._control.poll_commands():
                incarnation += 1
                try:
                    self._run_host(incarnation)
                except GroupLost as lost:
                    self._lose(lost)
        except EOFError:
            return  # the main process is gone
        except (EnvInterfaceError, WorkerError) as error:
            self._gateway.fail(error)
        except BaseException:
            self._gateway.error = traceback.format_exc()

    def _run_host(self, incarnation: int) -> None:
        """Work on one host, from its place on a node to its loss or the command to stop."""
        options, group = self._gateway.options, self._group
        spec = GroupSpec(
            self._gateway.setup,
            self._number,
            incarnation,
            self._workers,
            group.rounds,
            group.episodes_begun,
            self._gateway.node,
            options.worker_timeout + _SILENCE_SECONDS,
            options.pull_together,
            options.gradient_dtype,
        )
        transport = self._transport = self._gateway.make_host(spec)
        try:
            if (prepared := self._wait_until_prepared(transport)) is not None:
                group.attach(transport, prepared.pulls_together)
                self._exchange.pull_together = prepared.pulls_together
                self.is_at_work = True
                self._loop.run()
        finally:
            self._transport, self.is_at_work = None, False
            if not self._gateway.head_is_lost:  # else there is nobody who could end it, and asking may take for ever
                transport.close()

    def _wait_until_prepared(self, transport: ActorTransport) -> Prepared | None:
        """Wait for a node, and for the host to be ready there; ``None`` if the command to stop comes first."""
        while self._control.poll_commands():
            try:
                answer = transport.prepared(_LOOK_SECONDS)
            except Unavailable:
                raise GroupLost("could not be reached") from None
            match answer:
                case Prepared():
                    if answer.refusal is not None:
                        raise WorkerError(
                            f"worker group {self._number} {answer.refusal}. Try parallelism.resource=NAME, with nodes that "
                            "were started with that resource"
                        )
                    return answer
                case Crash():
                    raise GroupLost("raised an error", answer.text)
                case EnvInterfaceError():
                    raise answer
        return None

    def _lose(self, lost: GroupLost) -> None:
        self._group.release()
        if self._gateway.counters.command is not Command.stop:
            self._gateway.send(GroupDeath(self._number, lost.cause, lost.details))

    def _timeout(self) -> float:
        limit = self._gateway.options.worker_timeout
        return min(limit, STOP_SECONDS) if self._gateway.counters.command is Command.stop else limit

    def _on_wait(self) -> None:
        self._control.heartbeat()
        if self._control.parent_exited():
            raise EOFError
