"""A fixed number of worker processes: each is replaced when it has died or hangs, and none outlives the training."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from a3c_exp.system import child_process
from a3c_exp.system.child_process import ChildProcess, HeartbeatTimer, StartMethod, end_all, wait_for_any

PRELOAD = ["a3c_exp.parallelism.multiprocess.preload"]


def start_fork_server(extra_modules: Sequence[str] = ()) -> None:
    """Start the fork server now: it imports torch once, while this process does, and every worker is then a fork of it.

    It never runs a tensor operation, so nothing is forked after torch has used its threads. It imports ``extra_modules``, too.
    """
    child_process.start_fork_server([*PRELOAD, *extra_modules])


@dataclass(frozen=True)
class Death:
    """A process has ended that should not have."""

    index: int
    cause: str  # to go behind its name in a sentence
    last_output: str  # its traceback, if it crashed
    lost: bool = False  # with the machine that it ran on: another may have it go on

    @property
    def details(self) -> str:
        """What a message ends with: the traceback, or what may help."""
        if "no sign of life" in self.cause:
            return ". If one step or update can take that long, raise parallelism.worker_timeout"
        return f"\n{self.last_output.rstrip()}" if self.last_output else ""


class Supervisor:
    """Keeps a fixed number of processes, each of which runs ``target(*arguments(index), pipe)``.

    Args:
        heartbeat_timeout: seconds without a heartbeat until a process is killed; a minute at least before its first.
        last_heartbeat: the time of a process's last heartbeat other than a message, in monotonic seconds, 0 before the first.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Callable[[int], tuple[Any, ...]],
        start_method: StartMethod,
        heartbeat_timeout: float,
        last_heartbeat: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        child_process.prepare_start(start_method, PRELOAD)
        self._target, self._arguments = target, arguments
        self._start_method, self._last_heartbeat = start_method, last_heartbeat
        self._timer = HeartbeatTimer(heartbeat_timeout)
        self.processes: dict[int, ChildProcess] = {}

    def start(self, index: int) -> None:
        """Start the process with this index, first or anew."""
        self.processes[index] = ChildProcess(self._target, self._arguments(index), self._start_method, f"workers-{index}")

    def listen(self, timeout: float) -> Iterator[tuple[int, Any]]:
        """What processes have sent, waiting at most ``timeout`` seconds for the first message."""
        indices = {process: index for index, process in self.processes.items()}
        for process in wait_for_any(indices, timeout):
            for message in process.messages():
                yield indices[process], message

    def deaths(self) -> list[tuple[Death, list[Any]]]:
        """Processes that have ended or hung since the last call, with what they had still sent."""
        deaths = []
        self._timer.check()
        for index, process in list(self.processes.items()):
            process.last_heartbeat = max(process.last_heartbeat, self._last_heartbeat(index))
            cause = process.cause_of_death(self._timer)
            if cause is not None:
                messages = list(process.messages())
                deaths.append((Death(index, cause, process.last_output), messages))
                self.processes.pop(index).close()
        return deaths

    def stop(self, timeout: float, exclude: Collection[int] = ()) -> list[tuple[int, Any]]:
        """Wait at most ``timeout`` seconds for processes that were asked to end, then kill; returns their last messages. Those
        in ``exclude`` are listened to, but neither waited for nor killed."""
        messages: list[tuple[int, Any]] = []
        ending = {index: process for index, process in self.processes.items() if index not in exclude}
        end_all(list(ending.values()), timeout, lambda seconds: messages.extend(self.listen(seconds)))
        for index, process in ending.items():
            messages += [(index, message) for message in process.messages()]
            self.processes.pop(index).close()
        return messages
