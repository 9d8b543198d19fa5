"""Orders and replies over calls of a Ray actor."""

from dataclasses import dataclass
from typing import Any

from a3c_exp.parallelism.ray.group_host import GroupActor
from a3c_exp.parallelism.ray.messages import Answer, GroupSpec, Order, Prepared
from a3c_exp.parallelism.ray.remote_group import GroupLost, GroupTransport, Unavailable
from a3c_exp.system.child_process import Crash
from a3c_exp.system.errors import EnvInterfaceError

INLINE_SETTINGS = {
    "RAY_max_direct_call_object_size": str(256 * 2**20),  # by default 100 KiB; Ray's messages may have 512 MiB
    "RAY_task_rpc_inlined_bytes_limit": str(256 * 2**20),
}
"""Environment variables with which Ray sends weights and gradients within its messages, from one process to the other. Else it
would copy them into the node's object store, from there to the other node's, and out of that."""
HOST_ENVIRONMENT = {**INLINE_SETTINGS, "MALLOC_ARENA_MAX": "1"}
"""Of a host's process. With an arena for each thread, the C library would give back what a window frees, and map it anew for
the next one."""
_CLOSE_SECONDS = 1.0  # how long a host may take to end its environments


@dataclass(frozen=True)
class Placement:
    """Where hosts may be: on nodes that have these cores free, and one of the ``resource`` if that is named."""

    cores: int
    resource: str | None = None


class ActorTransport(GroupTransport):
    """One host of a group, which waits for a node that has room for it and begins there. Ray neither restarts it nor repeats a
    call: an answer that does not come is asked for again by its number."""

    def __init__(self, spec: GroupSpec, placement: Placement) -> None:
        import ray

        self.incarnation = spec.incarnation
        actor_class = ray.remote(
            num_cpus=placement.cores,
            resources={placement.resource: 1} if placement.resource else {},
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={"beats": 1},
            runtime_env={"env_vars": HOST_ENVIRONMENT},
        )(GroupActor)
        self._actor: Any = actor_class.remote(spec)
        self._answer: Any = self._actor.prepare.remote()

    def prepared(self, timeout: float) -> Prepared | EnvInterfaceError | Crash | None:
        """Whether the host is ready; ``None`` if not yet. Raises as ``receive`` does."""
        prepared: Prepared | EnvInterfaceError | Crash | None = self._get(timeout)
        return prepared

    def send(self, order: Order) -> None:
        self._answer = self._actor.execute.remote(order)

    def receive(self, timeout: float) -> Answer | None:
        answer: Answer | None = self._get(timeout)
        return answer

    def _get(self, timeout: float) -> Any:
        import ray
        from ray import exceptions

        try:
            return ray.get(self._answer, timeout=timeout)
        except exceptions.GetTimeoutError:
            return None
        except exceptions.ActorUnavailableError:
            raise Unavailable from None
        except exceptions.ActorDiedError as error:
            details = str(error) if error.actor_init_failed else ""
            raise GroupLost("was lost with its node or its process", details) from None
        except exceptions.RayTaskError as error:
            raise GroupLost("raised an error", str(error)) from None
        except exceptions.RayError as error:
            raise GroupLost(f"was lost ({type(error).__name__})") from None

    def beat(self) -> None:
        """Tell the host that somebody is here. Returns at once."""
        self._actor.beat.options(concurrency_group="beats").remote()

    def close(self) -> None:
        import ray

        closed = self._actor.close.options(concurrency_group="beats").remote()
        ray.wait([closed], timeout=_CLOSE_SECONDS)
        ray.kill(self._actor)
