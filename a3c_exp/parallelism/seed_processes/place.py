"""Where the processes that train blocks of seeds run."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from a3c_exp.parallelism.multiprocess.supervisor import Death, Supervisor

HEARTBEAT_TIMEOUT = 60.0  # seconds without a heartbeat after which a process counts as dead
STOP_SECONDS = 20.0  # how long processes may take to end their round and send their state, before they are killed

Target = Callable[..., None]
Arguments = Callable[[int], tuple[Any, ...]]


class Reachable(Protocol):
    """A process that can be sent something."""

    def send(self, message: Any) -> None: ...


class ProcessGroup(Protocol):
    """Numbered processes, each of which runs a function with arguments of its own and one end of a pipe."""

    @property
    def processes(self) -> Mapping[int, Reachable]:
        """Those that were started and have not ended."""

    def start(self, index: int) -> None:
        """Start the process with this number, first or anew."""

    def listen(self, timeout: float) -> Iterable[tuple[int, Any]]:
        """What processes have sent, or a ``MessageEvent`` about one, waiting at most ``timeout`` seconds for the first."""

    def deaths(self) -> list[tuple[Death, list[Any]]]:
        """Processes that have ended or hung since the last call, with what they had still sent."""

    def stop(self, timeout: float) -> list[tuple[int, Any]]:
        """Wait at most ``timeout`` seconds for processes that were asked to end, then kill; returns their last messages."""


class Place(Protocol):
    """Where processes can be started.

    Attributes:
        loses_processes: for no reason of their own, so that they report their states, and others go on from there; there may
            also be fewer cores than processes, so that those that have done their work are asked to end.
    """

    loses_processes: bool

    def group(self, target: Target, arguments: Arguments) -> ProcessGroup:
        """Processes that run ``target(*arguments(index), pipe)``; none is started yet."""


class ThisMachine(Place):
    """Processes of this machine."""

    loses_processes = False

    def group(self, target: Target, arguments: Arguments) -> ProcessGroup:
        return Supervisor(target, arguments, "forkserver", HEARTBEAT_TIMEOUT)
