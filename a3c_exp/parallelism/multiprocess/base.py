"""Training with workers in processes of their own: supervised, on an exact budget, ended in time."""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Gt
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, Parallelism, StatsEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.compilation import Compilation
from a3c_exp.parallelism.multiprocess.compiling_processes import CompileTask
from a3c_exp.parallelism.multiprocess.deaths import Deaths
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.supervisor import Death, Supervisor
from a3c_exp.parallelism.multiprocess.worker_process import Failure, NonFinite, Sharing, WorkerAssignment
from a3c_exp.system.child_process import StartMethod
from a3c_exp.system.errors import ConfigError, NonFiniteError
from a3c_exp.system.process_setup import usable_cores

STOP_SECONDS = 3.0  # how long processes may take to end after the command to stop, before they are killed
_BARRIER_SECONDS = 5.0  # how long a live checkpoint waits for all processes to come between two windows


class OnDeath(StrEnum):
    """What the death of a worker process means: a replacement takes over, or the run fails."""

    restart = "restart"
    fail = "fail"


Seconds = Annotated[float, Gt(0)]


@dataclass(eq=False)
class MultiprocessStrategy(Parallelism, ABC):
    """Worker processes that never wait for each other; a subclass decides where the shared weights are and who changes them.

    Args:
        processes: of workers; ``None`` takes as many as this machine has cores, never more than workers.
        on_worker_death: restart or fail.
        max_restarts: deaths that a run survives; three by one error, without a step between, end it.
        worker_timeout: seconds without a heartbeat after which a process counts as dead.
        lock_timeout: seconds to wait for a lock before an error names its holder; workers wait ``worker_timeout`` longer.
        start_method: forkserver (imports torch once) or spawn.

    Raises:
        ConfigError: a value is out of its range.
    """

    processes: PositiveInt | None = None
    on_worker_death: OnDeath = OnDeath.restart
    max_restarts: NonNegativeInt = 10
    worker_timeout: Seconds = 60.0
    lock_timeout: Seconds = 5.0
    start_method: StartMethod = "forkserver"

    name: ClassVar[str]
    compiles_while_training = True
    applies_updates: ClassVar[bool] = False
    """Whether the processes that host workers apply their gradients."""
    has_server: ClassVar[bool] = False
    """Whether one more process, numbered after those of workers, owns the weights: it alone pauses for a checkpoint."""
    stop_seconds: ClassVar[float] = STOP_SECONDS

    def __post_init__(self) -> None:
        self._deaths = Deaths(self.max_restarts if OnDeath(self.on_worker_death) is OnDeath.restart else 0)
        self._events: list[Event] = []
        self._final: tuple[Tensor, Tensor] | None = None

    @property
    def sharing(self) -> Sharing:
        """What the workers of a process have in common."""
        return Sharing()

    @abstractmethod
    def _prepare(
        self, setup: TrainingSetup, state: TrainingState, folder: Path
    ) -> tuple[Callable[..., None], Callable[..., Any]]:
        """Make what processes share; returns a process's entry, and what gives its arguments for an index."""

    @abstractmethod
    def _read_state(self) -> tuple[Tensor, Tensor]:
        """Copies of the weights ``[P]`` and the optimizer state ``[rows, P]`` while processes run."""

    @property
    def _server_index(self) -> int:
        return len(self._workers_by_process)

    @property
    def _worker_processes(self) -> Sequence[int]:
        """The numbers of the processes that host workers."""
        return range(len(self._workers_by_process))

    def _slots(self, index: int) -> Sequence[int]:
        """The rows of the shared counters that a process writes."""
        return [index]

    def _num_processes(self, workers: int) -> int:
        """How many processes share so many workers."""
        return self.cores(workers)

    def _process_name(self, index: int) -> str:
        return "the server process" if index == self._server_index else f"worker process {index}"

    def _stop_processes(self) -> list[tuple[int, Any]]:
        """Have all processes end, within limits; returns their last messages."""
        self._counters.send_command(Command.stop)
        messages = self._supervisor.stop(self.stop_seconds, exclude=[self._server_index])
        if self.has_server:  # which ends once everything that workers sent is applied
            self._counters.send_command(Command.close)
            messages += self._supervisor.stop(STOP_SECONDS)
        return messages

    def cores(self, workers: int, num_seeds: int = 1) -> int:
        """How many processes share the workers, which is how many cores a run keeps busy."""
        return min(self.processes or usable_cores(), workers)

    def check(self, setup: TrainingSetup) -> None:
        if setup.num_seeds > 1:
            raise ConfigError(
                f"num_seeds={setup.num_seeds} trains seeds side by side in one process, which {self.name} does not: its "
                f"workers are processes of their own. Try 'seed=range({setup.seed},{setup.seed + setup.num_seeds})' -m, or "
                "parallelism=deterministic"
            )

    def _share_workers(self, workers: int) -> list[list[int]]:
        """The workers of each process."""
        return [share.tolist() for share in np.array_split(np.arange(workers), self._num_processes(workers))]

    def _compile_task(self, setup: TrainingSetup) -> CompileTask:
        sizes = tuple(map(len, self._share_workers(setup.workers)))
        return CompileTask(setup, sizes, self.sharing, self.applies_updates)

    def compile_task(self, setup: TrainingSetup) -> CompileTask | None:
        return self._compile_task(setup) if setup.compile or setup.compile_while_training else None

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        (state,) = states
        if state.parallelism_state:
            raise ConfigError(
                "this checkpoint is of another parallelism; a resumed run keeps the one it was started with. "
                "Leave out parallelism"
            )
        self._workers_by_process = self._share_workers(setup.workers)
        self._compilation = Compilation(self._compile_task(setup))
        setup, notices = self._compilation.prepare()
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_exp_", dir=get_temp_dir())
        processes = [*[self._server_index] * self.has_server, *self._worker_processes]
        base = state.env_steps, state.episodes, state.updates
        self._counters = SharedCounters.create(max(processes) + 1, state.rounds, state.episodes_begun, setup.budget, base)
        target, arguments = self._prepare(setup, state, Path(self._folder.name))
        beats = self._counters.table[:, CounterColumn.heartbeat]  # in nanoseconds
        limits = self.worker_timeout, lambda index: float(beats[index]) * 1e-9
        self._supervisor = Supervisor(target, arguments, self.start_method, *limits)
        try:
            for index in processes:
                self._supervisor.start(index)
            if setup.compile_while_training:
                notices += self._compilation.start(self._counters, self.start_method)
        except BaseException:
            self.stop()  # those that did start
            raise
        return notices

    def _assignment(self, index: int) -> WorkerAssignment:
        # Longer than it takes to kill a process that holds the lock and does nothing, so that only that one dies.
        lock_timeout = self.worker_timeout + self.lock_timeout
        return WorkerAssignment(index, self._workers_by_process[index], lock_timeout, self.sharing)

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        self._listen(timeout)
        return self._pop_events()

    def listen(self) -> Sequence[Event]:
        self._listen(0.0)
        return self._pop_events()

    def _listen(self, timeout: float) -> None:
        # Stored, not returned: what was counted before an error is still handed over, by ``stop``.
        for index, message in self._supervisor.listen(timeout):
            self._events.extend(self._handle_message(index, message))
        self._events.extend(self._replace_dead_processes())
        self._events.extend(self._compilation.listen())

    def _pop_events(self) -> list[Event]:
        heard, self._events = self._events, []
        return heard

    def _handle_message(self, index: int, message: Any) -> Iterator[Event]:
        match message:
            case EpisodeEvent():
                self._counters.table[index, CounterColumn.tickets_finished] += 1
                yield message
            case StatsEvent():
                yield message
            case Failure():
                raise message.error
            case NonFinite():
                raise NonFiniteError(
                    f"worker {message.worker} computed a value that is not finite in its window {message.window}: "
                    f"{', '.join(message.terms)}. It was not applied. Try a lower optimizer.lr, or max_grad_norm=40"
                )

    def _replace_dead_processes(self) -> Iterator[Event]:
        for death, messages in self._supervisor.deaths():
            for message in messages:
                yield from self._handle_message(death.index, message)
            for slot in self._slots(death.index):
                self._release_dead(slot)
            yield self._count_death(death)
            self._supervisor.start(death.index)

    def _release_dead(self, slot: int) -> None:
        """Give back what the dead writer of a row of the shared counters held."""
        self._counters.release_dead(slot)

    def _count_death(self, death: Death) -> MessageEvent:
        """Say that a process is replaced; a WorkerError if that would not help any more."""
        name, workers = self._process_name(death.index), self._affected_workers(death.index)
        return self._deaths.add(death, name, workers, self.counts().env_steps)

    def _affected_workers(self, index: int) -> str:
        """The workers of a process, in brackets; nothing where it hosts none."""
        if index >= len(self._workers_by_process):
            return ""
        ids = self._workers_by_process[index]
        return f" (worker {ids[0]})" if len(ids) == 1 else f" (workers {ids[0]} to {ids[-1]})"

    def first_step_taken(self) -> bool:
        return bool(self._counters.table[:, CounterColumn.stepping].any())

    def weights(self, index: int = 0) -> Tensor:
        return (self._final or self._read_state())[0]

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        if not self._pause():
            who = "the server" if self.has_server else "a worker"
            text = f"{who} did not reach the checkpoint's barrier within {_BARRIER_SECONDS:g} s; saved as it was"
            self._events.append(MessageEvent(text))
        weights, optimizer_state = self._final or self._read_state()
        counts = self.counts()
        rounds, episodes_begun = self._counters.workers.numpy().copy()
        if self._supervisor.processes:
            self._counters.send_command(Command.run)
        progress = counts.updates, counts.env_steps, counts.episodes
        return TrainingState(weights, optimizer_state, *progress, rounds, episodes_begun), self._pop_events()

    def _pause(self) -> bool:
        """Ask processes to wait between two windows; whether all that must do so do, within the limit."""
        if not self._supervisor.processes:
            return True
        barrier = self._counters.start_barrier()
        deadline = time.monotonic() + _BARRIER_SECONDS
        while True:
            # Listened to meanwhile: a process that waits for room in its pipe would never come to the barrier.
            self._listen(0.002)
            must_pause = [index for index in self._supervisor.processes if index == self._server_index or not self.has_server]
            if all(self._counters.table[index, CounterColumn.paused] == barrier for index in must_pause):
                self._listen(0.0)
                return True
            if time.monotonic() > deadline:
                return False

    def stop(self) -> Sequence[Event]:
        self._events.extend(self._compilation.stop())
        for index, message in self._stop_processes():
            if not isinstance(message, NonFinite | Failure):
                self._events.extend(self._handle_message(index, message))
        self._final = self._read_state()
        self._folder.cleanup()
        return self._pop_events()

    def summary(self, index: int = 0) -> dict[str, Any]:
        return {
            "processes": len(self._workers_by_process),
            **self._deaths.summary(),
            **self._compilation.summary(),
        }
