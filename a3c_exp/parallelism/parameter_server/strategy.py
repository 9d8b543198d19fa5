"""A3C with a parameter server: one process applies gradients as they arrive and answers with the weights that follow."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt
from a3c_exp.parallelism.base import Counts, Event, TrainingSetup
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn
from a3c_exp.parallelism.multiprocess.wakeup_pipe import create_wakeup_pipe
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.parallelism.parameter_server import server, worker
from a3c_exp.parallelism.parameter_server.announced_episodes import AnnouncedEpisodes, Announcement
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState, StateField
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField
from a3c_exp.parallelism.parameter_server.server import OnStale, StalenessPolicy
from a3c_exp.system.errors import ConfigError

MAX_PROCESSES = 100
"""Each wakeup pipe is a file that the server is started with, and the fork server hands over 256 files at most."""

_SETTLE_SECONDS = 0.005  # between two looks at whether announced episodes are settled


class WorkerLinks(NamedTuple):
    """What links processes that host workers to each other and to the server; pipes by the number of the group of workers."""

    lock_path: Path  # held where something is taken from the budget
    gradients_ready: Sequence[Connection]  # to wake the server by
    weights_ready: Sequence[Connection]  # by which it wakes them


@dataclass(eq=False)
class ParameterServer(MultiprocessStrategy):
    """Worker processes that send gradients to a server process, which owns the weights.

    Args:
        max_lag: gradients with a larger policy lag, in updates, are stale; ``None``: none is.
        on_stale: drop them, or downweight them: multiply by ``max_lag / lag``.
        reset_after_lag: a worker whose gradient had a larger policy lag begins a new episode; ``None``: no worker does.
        pull_together: the workers of a process pull when all of them have pushed, and so act with equal weights: a network that
            is not stackable sees all their pictures as one batch. Each worker's gradient is still a push of its own. ``None``:
            if the network is not stackable.
        others: as ``MultiprocessStrategy`` takes them; deaths are the server's, too.

    Raises:
        ConfigError: a value is out of its range.
    """

    processes: Annotated[int, Ge(1), Le(MAX_PROCESSES)] | None = None
    max_lag: NonNegativeInt | None = None
    on_stale: OnStale = OnStale.drop
    reset_after_lag: NonNegativeInt | None = None
    pull_together: bool | None = None

    name = "parameter_server"
    has_server = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_lag == 0 and self.on_stale == OnStale.downweight:
            raise ConfigError(
                "parallelism.max_lag=0 with on_stale=downweight would multiply every stale gradient by 0. "
                "Try parallelism.on_stale=drop, or parallelism.max_lag=1"
            )
        self._staleness_policy = StalenessPolicy(self.max_lag, OnStale(self.on_stale), self.reset_after_lag)

    @property
    def sharing(self) -> Sharing:
        return Sharing(pull_together=self.pull_together)

    def _prepare(
        self, setup: TrainingSetup, state: TrainingState, folder: Path
    ) -> tuple[Callable[..., None], Callable[..., Any]]:
        self._double_buffer = DoubleBufferedState.create(state.weights, state.optimizer_state, setup.workers)
        num_stats = len(setup.learner.statistics)
        self._announced = AnnouncedEpisodes()
        self._gradient_slots = slots = GradientSlots.create(setup.workers, state.weights.numel(), num_stats)
        workers, counters = self._workers_by_process, self._counters
        gradients_ready, weights_ready = ([create_wakeup_pipe() for _ in workers] for _ in range(2))

        def arguments(index: int) -> tuple[Any, ...]:
            if index == self._server_index:
                pipes = [receiver for receiver, _ in gradients_ready], [sender for _, sender in weights_ready]
                shared = self._double_buffer, slots, workers, counters
                return server.main, (setup, self._staleness_policy, index, *shared, *pipes)
            senders, receivers = [sender for _, sender in gradients_ready], [receiver for receiver, _ in weights_ready]
            return self._worker_arguments(index, setup, WorkerLinks(folder / "lock", senders, receivers))

        return _run, arguments

    def _worker_arguments(self, index: int, setup: TrainingSetup, links: WorkerLinks) -> tuple[Any, ...]:
        """The entry of a process that hosts workers, and its arguments."""
        own = links.lock_path, links.gradients_ready[index], links.weights_ready[index]
        return worker.main, (setup, self._assignment(index), self._gradient_slots, self._counters, *own)

    def _handle_message(self, index: int, message: Any) -> Iterator[Event]:
        match message:
            case Announcement():
                self._announced.add(index, message)
            case _:
                yield from super()._handle_message(index, message)

    def _listen(self, timeout: float) -> None:
        super()._listen(min(timeout, _SETTLE_SECONDS) if self._announced else timeout)
        self._events.extend(self._take_settled())

    def stop(self) -> Sequence[Event]:
        return [*super().stop(), *self._take_settled()]

    def _take_settled(self) -> Iterator[Event]:
        """Announced episodes whose windows are settled by now."""
        if not self._announced:
            return
        counters = self._double_buffer.read_counters()
        updates = self._counters.base_updates + int(counters[StateField.updates])
        for slot, event in self._announced.take_settled(counters[len(StateField) :], updates):
            self._counters.table[slot, CounterColumn.tickets_finished] += 1
            yield event

    def _release_dead(self, slot: int) -> None:
        # The server may not have counted yet what the dead sent: a replacement waits for that, and gives back the rest.
        expected = self._announced.forget_unsent(slot, self._gradient_slots.fields.numpy()[:, SlotField.sent])
        self._counters.release_dead(slot, keep_reserved=True, expected=expected)

    def _read_state(self) -> tuple[Tensor, Tensor]:
        # The server pauses within milliseconds; meanwhile workers go on with their windows.
        pausing = self._final is None and self._supervisor.processes and self._counters.command is Command.run
        if pausing:
            self._pause()
        weights, state, _ = self._double_buffer.read()
        if pausing:
            self._counters.send_command(Command.run)
        return weights, state

    def counts(self, index: int = 0) -> Counts:
        shared, own = self._counters, self._double_buffer.read_counters()
        return Counts(
            shared.base_steps + int(own[StateField.env_steps]),
            shared.base_updates + int(own[StateField.updates]),
            shared.episodes(),
        )

    def summary(self, index: int = 0) -> dict[str, Any]:
        fields, counters = self._gradient_slots.fields.numpy(), self._double_buffer.read_counters()
        unsettled = (fields[:, SlotField.has_gradient] == 1) & (fields[:, SlotField.sent] > counters[len(StateField) :])
        return {
            **super().summary(index),
            "applied": int(counters[StateField.updates]),
            "dropped": int(counters[StateField.dropped]),
            "downweighted": int(counters[StateField.downweighted]),
            "unapplied": int(unsettled.sum()),  # none, after a regular end
            "unlogged": int(counters[StateField.episodes]) - self._announced.handed_on,  # none
            "resets": int(fields[:, SlotField.resets].sum()),
            "max_queue_length": int(self._counters.table[self._server_index, CounterColumn.max_queue_length]),
        }


def _run(entry: Callable[..., None], arguments: tuple[Any, ...], pipe: Connection) -> None:
    entry(*arguments, pipe)
