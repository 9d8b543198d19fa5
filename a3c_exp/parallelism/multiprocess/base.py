"""What kinds of parallelism share whose workers are processes of their own: supervised, on an exact budget, ended in time."""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, EpisodeEvent, Event, Notice, TallyEvent, Task
from a3c_exp.parallelism.multiprocess.shared_counters import Command, Ledger, Slot
from a3c_exp.parallelism.multiprocess.supervisor import Death, StartMethod, Supervisor, too_many
from a3c_exp.parallelism.multiprocess.worker_process import Crash, NonFinite, Placement
from a3c_exp.parallelism.worker_group import StackedWorkers, compile_ahead
from a3c_exp.system.errors import ConfigError, NonFiniteError
from a3c_exp.system.process_setup import usable_cores

STOP_SECONDS = 3.0
"""How long processes may take to end when told to, before they are killed."""
_BARRIER_SECONDS = 5.0
"""How long a live checkpoint waits for all processes to come between two windows."""


class OnDeath(StrEnum):
    """What the death of a worker process means: a replacement takes over, or the run fails."""

    restart = "restart"
    fail = "fail"


class Asynchronous(ABC):
    """Worker processes that nobody waits for; whoever derives says where the shared weights live and who changes them.

    Args:
        processes: how many; ``None`` takes as many as this machine has cores, never more than workers.
        on_worker_death: restart or fail.
        max_restarts: deaths that a run survives.
        worker_timeout: seconds without a sign of life after which a process counts as dead.
        lock_timeout: seconds to wait for a lock before saying who holds it; workers wait ``worker_timeout`` longer.
        start_method: forkserver (imports torch once) or spawn.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: str
    pauses = "a worker"
    """Who must stand still for a checkpoint, as a sentence begins."""

    def __init__(
        self,
        processes: int | None,
        on_worker_death: str,
        max_restarts: int,
        worker_timeout: float,
        lock_timeout: float,
        start_method: StartMethod,
    ) -> None:
        if processes is not None and processes < 1:
            raise ConfigError(f"parallelism.processes is {processes}, but it is 1 or more, or null for one a core")
        if on_worker_death not in list(OnDeath):
            raise ConfigError(
                f"parallelism.on_worker_death is {on_worker_death}, but it is restart or fail. "
                "Try parallelism.on_worker_death=restart"
            )
        if max_restarts < 0:
            raise ConfigError(f"parallelism.max_restarts is {max_restarts}, but it is at least 0")
        for key, seconds in (("worker_timeout", worker_timeout), ("lock_timeout", lock_timeout)):
            if not seconds > 0:
                raise ConfigError(f"parallelism.{key} is {seconds} seconds, but it is above 0. Try parallelism.{key}=60")
        self._processes = processes
        self._on_death = OnDeath(on_worker_death)
        self._max_restarts = max_restarts if self._on_death is OnDeath.restart else 0
        self._worker_timeout = worker_timeout
        self._lock_timeout = lock_timeout
        self._start_method: StartMethod = start_method
        self._deaths: list[Death] = []
        self._heard: list[Event] = []
        self._final: tuple[Tensor, Tensor] | None = None

    # -- what tells one kind from another --------------------------------------------------------------------------------

    @abstractmethod
    def _prepare(self, task: Task, state: TrainingState, folder: Path) -> tuple[Callable[..., None], Callable[..., Any]]:
        """Make what processes share; returns a process's entry, and what gives its arguments for an index."""

    def _compile(self, task: Task, workers: StackedWorkers) -> None:
        """Make what machine code a process that hosts these workers needs beside theirs: by default none."""
        return

    @abstractmethod
    def _read(self) -> tuple[Tensor, Tensor]:
        """Copies of the weights ``[P]`` and the optimiser state ``[rows, P]`` while processes run."""

    @abstractmethod
    def _updates(self) -> int:
        """Updates of the shared weights so far."""

    @abstractmethod
    def _release(self) -> None:
        """Nothing runs any more: give back what ``_prepare`` took."""

    def _slots(self) -> Sequence[int]:
        """The processes, in the order in which they are started: by default those of workers."""
        return range(len(self._shares))

    def _pausing(self) -> Collection[int]:
        """The processes that must stand still for a checkpoint: by default all."""
        return self._supervisor.members

    def _who(self, index: int) -> str:
        """A process's name in a sentence."""
        return f"worker process {index}"

    def _bury(self, index: int) -> None:
        """Give back what a dead process held."""
        self._ledger.bury(index)

    def _end(self) -> list[tuple[int, Any]]:
        """Have all processes end, within limits; returns what they still had to say."""
        self._ledger.tell(Command.stop)
        return self._supervisor.stop(STOP_SECONDS)

    def cores(self, workers: int, num_seeds: int = 1) -> int:
        """How many processes share the workers, which is how many cores a run keeps busy."""
        return min(self._processes or usable_cores(), workers)

    # -- what the trainer calls ------------------------------------------------------------------------------------------

    def check(self, task: Task) -> None:
        if task.num_seeds > 1:
            raise ConfigError(
                f"num_seeds={task.num_seeds} trains seeds side by side in one process, which {self.name} does not: its workers "
                f"are processes of their own. Try 'seed=range({task.seed},{task.seed + task.num_seeds})' -m, or "
                "parallelism=deterministic"
            )

    def start(self, task: Task, states: Sequence[TrainingState]) -> Sequence[Event]:
        (state,) = states
        if state.details:
            raise ConfigError("this checkpoint is of another parallelism; a resumed run keeps the one it was started with")
        self._shares = [part.tolist() for part in np.array_split(np.arange(task.workers), self.cores(task.workers))]
        notices: list[Event] = []
        if task.compile:
            compiler = compile_ahead(task, sorted({len(share) for share in self._shares}), partial(self._compile, task))
            notices.append(Notice(compiler.told()))
            task = replace(task, compile=not compiler.failures)
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_exp_")
        self._ledger = Ledger.create(
            len(self._slots()),
            state.rounds,
            state.episodes_begun,
            task.budget,
            (state.env_steps, state.episodes, state.updates),
        )
        target, arguments = self._prepare(task, state, Path(self._folder.name))
        self._supervisor = Supervisor(
            target,
            arguments,
            self._start_method,
            self._worker_timeout,
            heartbeat=lambda index: float(self._ledger.table[index, Slot.heartbeat]) * 1e-9,
        )
        try:
            for index in self._slots():
                self._supervisor.start(index)
        except BaseException:
            self.stop()  # those that did start
            raise
        return notices

    def _placement(self, index: int) -> Placement:
        """Where a process's workers stand."""
        # Longer than it takes to notice and kill whoever holds the lock and does nothing, so that only that one dies.
        return Placement(index, self._shares[index], self._worker_timeout + self._lock_timeout)

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        self._listen(timeout)
        return self._hand_over()

    def listen(self) -> Sequence[Event]:
        self._listen(0.0)
        return self._hand_over()

    def _listen(self, timeout: float) -> None:
        # Kept, not returned: what was counted before an error is still handed over, by ``stop``.
        for index, message in self._supervisor.listen(timeout):
            self._heard.extend(self._take(index, message))
        self._heard.extend(self._bury_the_dead())

    def _hand_over(self) -> list[Event]:
        heard, self._heard = self._heard, []
        return heard

    def _take(self, index: int, message: Any) -> Iterator[Event]:
        match message:
            case EpisodeEvent():
                self._ledger.table[index, Slot.tickets_finished] += 1
                yield message
            case TallyEvent():
                yield message
            case NonFinite():
                raise NonFiniteError(
                    f"worker {message.worker} computed a value that is not finite in its window {message.window}: "
                    f"{', '.join(message.terms)}. It was not applied. Try a lower optimizer.lr, or max_grad_norm=40"
                )
            case Crash():
                self._supervisor.members[index].last_words = message.text

    def _bury_the_dead(self) -> Iterator[Event]:
        for death, words in self._supervisor.deaths():
            last_words = death.last_words
            for message in words:
                if isinstance(message, Crash):
                    last_words = message.text
                else:
                    yield from self._take(death.index, message)
            self._deaths.append(Death(death.index, death.cause, last_words))
            self._bury(death.index)
            if len(self._deaths) > self._max_restarts:
                raise too_many(self._deaths, self._max_restarts, self._who(death.index))
            tail = f"\n{last_words.rstrip()}" if last_words else ""
            yield Notice(
                f"{self._who(death.index)}{self._hit(death.index)} {death.cause}; replaced, {len(self._deaths)} of at most "
                f"{self._max_restarts} times{tail}"
            )
            self._supervisor.start(death.index)

    def _hit(self, index: int) -> str:
        """The workers that a process's death strikes, in brackets; nothing for one that hosts none."""
        if index >= len(self._shares):
            return ""
        ids = self._shares[index]
        return f" (worker {ids[0]})" if len(ids) == 1 else f" (workers {ids[0]} to {ids[-1]})"

    def counts(self, index: int = 0) -> Counts:
        return Counts(self._ledger.env_steps(), self._updates(), self._ledger.episodes())

    def first_step_taken(self) -> bool:
        """Whether any worker has stepped its environment yet."""
        return bool(self._ledger.table[:, Slot.stepping].any())

    def weights(self, index: int = 0) -> Tensor:
        return (self._final or self._read())[0]

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        if not self._pause():
            self._heard.append(
                Notice(f"{self.pauses} did not reach the checkpoint's barrier within {_BARRIER_SECONDS:g} s; saved as it was")
            )
        weights, optimizer_state = self._final or self._read()
        counts = self.counts()
        rounds, episodes_begun = self._ledger.workers.numpy().copy()
        if self._supervisor.members:
            self._ledger.tell(Command.run)
        state = TrainingState(
            weights, optimizer_state, counts.updates, counts.env_steps, counts.episodes, rounds, episodes_begun
        )
        return state, self._hand_over()

    def _pause(self) -> bool:
        """Ask processes to wait between two windows; whether all that must do so do, within the limit."""
        if not self._supervisor.members:
            return True
        barrier = self._ledger.raise_barrier()
        deadline = time.monotonic() + _BARRIER_SECONDS
        while True:
            # Listened to meanwhile: a process that waits for room in its pipe would never come to the barrier.
            self._listen(0.002)
            if all(self._ledger.table[index, Slot.paused] == barrier for index in self._pausing()):
                self._listen(0.0)
                return True
            if time.monotonic() > deadline:
                return False

    def stop(self) -> Sequence[Event]:
        for index, message in self._end():
            if not isinstance(message, Crash | NonFinite):
                self._heard.extend(self._take(index, message))
        self._final = self._read()
        self._release()
        self._folder.cleanup()
        return self._hand_over()

    def figures(self, index: int = 0) -> dict[str, Any]:
        return {
            "processes": len(self._shares),
            "restarts": len(self._deaths),
            "deaths": [f"process {death.index} {death.cause}" for death in self._deaths],
        }
