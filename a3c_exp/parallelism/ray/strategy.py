"""The parameter server with worker groups on the nodes of a Ray cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Gt

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import ClusterProcesses, Event, TrainingSetup
from a3c_exp.parallelism.multiprocess.supervisor import Death
from a3c_exp.parallelism.parameter_server.strategy import MAX_PROCESSES, ParameterServer, WorkerLinks
from a3c_exp.parallelism.ray import gateway
from a3c_exp.parallelism.ray.actor_transport import Placement
from a3c_exp.parallelism.ray.gradient_dtype import GradientDtype
from a3c_exp.parallelism.ray.group_thread import STOP_SECONDS
from a3c_exp.parallelism.ray.messages import FromGroup, GroupDeath
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.ray.cluster import STORE_BYTES, chosen_address
from a3c_exp.system.ray.driver import check_cluster
from a3c_exp.system.ray.nodes import cluster_cores

_KEY = "parallelism.address"
_COPIES_IN_STORE = 8  # of all workers' gradients; weights take as much


@dataclass(eq=False)
class RayParameterServer(ParameterServer):
    """``ParameterServer`` whose worker processes are actors on whichever nodes have room. Weights, optimizer state, budget and
    trainer stay on this machine; one more process of it, the gateway, talks to the cluster.

    Args:
        processes: worker groups; ``None``: as many as nodes have room for, never more than workers.
        address: HOST:PORT of the cluster's head, ``auto``, or ``local`` for a cluster of this machine alone, which ends with
            the run; ``None``: what ``RAY_ADDRESS`` says, else ``local``.
        cpus: cores that a group takes of its node.
        resource: only nodes that declare this resource, of which a group takes 1.
        max_restarts: losses of groups, and deaths of the server or the gateway, that a run survives.
        worker_timeout: seconds without an answer after which a group counts as lost, and another host takes over its workers.
        wait_for_nodes: seconds without any group at work after which the run ends with a checkpoint.
        gradient_dtype: how gradients travel: rounded to ``bfloat16``, or as they are, ``float32``, twice as many bytes.
        others: as ``ParameterServer`` takes them.

    Raises:
        ConfigError: a value is out of its range.
    """

    max_restarts: NonNegativeInt = 100
    address: str | None = None
    cpus: PositiveInt = 1
    resource: str | None = None
    wait_for_nodes: Annotated[float, Gt(0)] = 300.0
    gradient_dtype: GradientDtype = "bfloat16"

    name = "ray"
    compiles_while_training = False  # on machines that are not this one
    stop_seconds: ClassVar[float] = STOP_SECONDS + 7.0

    @property
    def _cluster(self) -> str:
        return chosen_address(self.address)

    @property
    def _gateway_index(self) -> int:
        return self._server_index + 1

    @property
    def _worker_processes(self) -> Sequence[int]:
        return [self._gateway_index]

    def _slots(self, index: int) -> Sequence[int]:
        return [*range(self._server_index), index] if index == self._gateway_index else [index]

    def _process_name(self, index: int) -> str:
        if index == self._gateway_index:
            return "the gateway process"
        return super()._process_name(index) if index == self._server_index else f"worker group {index}"

    def cores(self, workers: int, num_seeds: int = 1) -> int:
        """How many cores of this machine a run keeps busy: those of a cluster are not in it."""
        return super().cores(workers, num_seeds) if self._cluster == "local" else 1

    def cluster_processes(self, workers: int, num_seeds: int) -> ClusterProcesses | None:
        if self._cluster == "local":
            return None
        count = min(self.processes or 1, workers)  # as many as there is room for, and one at least
        return ClusterProcesses(self._cluster, count, self.cpus, "parallelism=parameter_server")

    def _num_processes(self, workers: int) -> int:
        if self.processes is not None:
            return min(self.processes, workers)
        cores = [usable_cores()] if self._cluster == "local" else cluster_cores(self._cluster, _KEY)
        return max(1, min(workers, MAX_PROCESSES, sum(count // self.cpus for count in cores)))

    def compile_task(self, setup: TrainingSetup) -> None:
        return None  # how many processes share the workers is known when there are nodes

    def check(self, setup: TrainingSetup) -> None:
        super().check(setup)
        check_cluster(self.address, "parallelism=ray", _KEY)
        if setup.device != "cpu":
            raise ConfigError(
                f"parallelism=ray computes on the nodes' processors, not on device={setup.device}. Try device=cpu"
            )

    def _worker_arguments(self, index: int, setup: TrainingSetup, links: WorkerLinks) -> tuple[Any, ...]:
        slots = self._gradient_slots
        options = gateway.GatewayOptions(
            self._cluster,
            Placement(self.cpus, self.resource),
            self.worker_timeout,
            self.worker_timeout + self.lock_timeout,
            self.wait_for_nodes,
            STORE_BYTES + _COPIES_IN_STORE * slots.gradients.nbytes,
            self.pull_together,
            self.gradient_dtype,
        )
        shared = self._workers_by_process, slots, self._counters
        return gateway.main, (setup, options, index, *shared, *links)

    def _handle_message(self, index: int, message: Any) -> Iterator[Event]:
        match message:
            case FromGroup():
                yield from super()._handle_message(message.group, message.message)
            case GroupDeath():
                yield self._count_death(Death(message.group, message.cause, message.details))
            case _:
                yield from super()._handle_message(index, message)

    def _stop_processes(self) -> list[tuple[int, Any]]:
        messages = super()._stop_processes()
        own = [(message.group, message.message) if isinstance(message, FromGroup) else (i, message) for i, message in messages]
        return [(i, message) for i, message in own if not isinstance(message, GroupDeath)]  # none is replaced any more
