"""A group of workers on another node, which a worker loop of this process drives as if it were here.

Orders go out and replies come back by a transport that may lose, repeat or delay any of them. An order has the incarnation of
the host that it is for, and a number; only the reply to the latest order counts, and it counts once. What it holds then takes
the way of every gradient of the parameter server: into the workers' slots, whose numbers go on from one host of the group to
the next and are settled in the same transaction as weights and optimizer state.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.compile.compiler import Compiler
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters, WorkerBudget
from a3c_exp.parallelism.ray.gradient_dtype import unpack
from a3c_exp.parallelism.ray.messages import Answer, Order, Reply, Truncation, Window
from a3c_exp.parallelism.worker_group import RoundResult, WorkerId
from a3c_exp.system.child_process import Crash
from a3c_exp.system.errors import EnvInterfaceError

_WAIT_SECONDS = 0.1  # how long to wait for an answer before a heartbeat is shown and limits are looked at
_PAUSE_SECONDS = 0.2  # before an order is sent again that may have been lost


class Unavailable(Exception):  # noqa: N818 - it names what happened to an order
    """A host cannot be reached for now; it may or may not have got the order."""


class GroupLost(Exception):  # noqa: N818 - it names what happened to the group
    """A group's host is gone, or must count as gone; ``cause`` goes behind the group's name in a sentence."""

    def __init__(self, cause: str, details: str = "") -> None:
        super().__init__(cause)
        self.cause, self.details = cause, details


class GroupTransport(Protocol):
    """Carries orders to one host of a group, and its answers back."""

    incarnation: int
    """Which host of the group it is; higher than that of those before it."""

    def send(self, order: Order) -> None:
        """Send an order, perhaps once more. Returns at once."""

    def receive(self, timeout: float) -> Answer | None:
        """An answer to what was sent last or earlier; ``None`` if none has come within ``timeout`` seconds.

        Raises:
            Unavailable: what was sent may have been lost on its way there or back.
            GroupLost: there is no such host any more.
        """

    def close(self) -> None:
        """End the host, if it can still be reached; never waits long."""


@dataclass
class RemoteInputs:
    """What the windows of a group take from the schedules: the ``fraction`` of the budget that is used up."""

    is_scheduled: bool
    fraction: float | None = field(default=None, init=False)

    def follow_schedules(self, fractions: NDArray[np.float64]) -> None:
        self.fraction = float(fractions[0])


class RemoteGroup:
    """K workers on whichever host ``attach`` has named last; methods and attributes as in ``WorkerGroup``.

    Args:
        weights, gradients: ``[K, P]``, which may be the workers' slots of the server: then nothing needs to be copied there.
        workers: K numbers, next to each other.
        slot: the group's row of the ``counters``, to which nobody else writes.
        timeout: seconds without an answer after which a host counts as lost; asked again and again.
        on_wait: called at least every tenth of a second while an answer is awaited.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        weights: Tensor,
        gradients: Tensor,
        workers: Sequence[int],
        slot: int,
        counters: SharedCounters,
        budget: WorkerBudget,
        timeout: Callable[[], float],
        on_wait: Callable[[], None],
    ) -> None:
        k, learner = len(workers), setup.learner
        self.worker_ids = [WorkerId(setup.seed, worker) for worker in workers]
        self.weights, self._gradients = weights, gradients
        self._weights_by_worker, self._equal_weights = weights, torch.zeros(1, weights.shape[1])
        self.in_episode = np.zeros(k, np.bool_)
        self.loss_inputs = RemoteInputs(not setup.schedules.windows_are_constant)
        self._begun = counters.workers.numpy()[:, workers[0] : workers[-1] + 1]  # [2, K] windows and episodes
        self._row, self._budget = counters.table[slot], budget
        self._counts_tickets = setup.budget.max_episodes is not None
        self._rolls = not learner.window_ends_with_episode
        self._timeout, self._on_wait = timeout, on_wait
        self._transport: GroupTransport | None = None
        self._number = self._granted = 0
        self._ordered = np.zeros(k, np.int64)  # [K] what each worker may be doing on the host, in steps

    @property
    def rounds(self) -> NDArray[np.int64]:
        """``[K]`` windows begun so far."""
        rounds: NDArray[np.int64] = self._begun[0].copy()
        return rounds

    @property
    def episodes_begun(self) -> NDArray[np.int64]:
        begun: NDArray[np.int64] = self._begun[1].copy()
        return begun

    def attach(self, transport: GroupTransport, pulls_together: bool = False) -> None:
        """Go on with another host, whose workers are within no episode; ``weights`` is one row if they pull together."""
        self.weights = self._equal_weights if pulls_together else self._weights_by_worker
        self._transport, self._number = transport, 0
        self.in_episode[:] = False

    def round(self, allowed: NDArray[np.int64]) -> RoundResult:
        """A window of each worker.

        Raises:
            GroupLost: the host is gone. Nothing of the window counts.
            EnvInterfaceError: as in ``WorkerGroup``.
        """
        tickets = self._take_tickets(allowed)
        self._ordered = allowed
        reply = self._ask(Window(self.weights.numpy(), allowed, tickets, self.loss_inputs.fraction))
        window = reply.window
        assert window is not None, "a window was ordered"
        unpack(window.gradients, self._gradients)
        return RoundResult(self._gradients, window.window_stats, window.steps, reply.ended)

    def truncate(self, workers: Iterable[int]) -> list[EndedEpisode]:
        return list(self._ask(Truncation(list(workers))).ended)

    def _take_tickets(self, allowed: NDArray[np.int64]) -> int | None:
        """Tickets for the episodes that may begin in a window: those left over come back with the reply."""
        if not self._counts_tickets:
            return None
        acting = allowed > 0
        wanted = int((acting & ~self.in_episode).sum()) + self._rolls * int(acting.sum())
        while self._granted < wanted and self._budget.take_ticket(0):
            self._granted += 1
        return self._granted

    def _ask(self, task: Window | Truncation) -> Reply:
        transport = self._transport
        assert transport is not None, "the group has no host"
        self._number += 1
        reply = self._await_reply(transport, Order(transport.incarnation, self._number, task))
        used = int((reply.episodes_begun - self._begun[1]).sum())
        self._row[CounterColumn.tickets_taken] += used - self._granted
        self._granted, self._ordered = 0, np.zeros_like(self._ordered)
        self._begun[:] = reply.rounds, reply.episodes_begun
        self.in_episode = reply.in_episode.copy()
        return reply

    def _await_reply(self, transport: GroupTransport, order: Order) -> Reply:
        began = time.monotonic()
        transport.send(order)
        while True:
            try:
                answer = transport.receive(_WAIT_SECONDS)
            except Unavailable:
                time.sleep(_PAUSE_SECONDS)
                transport.send(order)
                answer = None
            match answer:
                case Reply(order.incarnation, order.number):
                    return answer
                case EnvInterfaceError():
                    raise answer
                case Crash():
                    raise GroupLost("raised an error", answer.text)
            self._on_wait()
            if (limit := self._timeout()) <= time.monotonic() - began:
                raise GroupLost(f"gave no answer for {limit:g} s")

    def release(self) -> None:
        """Give back what a lost host had: its episodes' tickets, and its steps. Call once all that was sent is settled."""
        self._row[CounterColumn.tickets_taken] -= self._granted + int(self.in_episode.sum())
        self._row[CounterColumn.steps_reserved] = self._row[CounterColumn.updates_reserved] = 0
        # What it may have begun is not begun again: its noise and its episodes may be what it was lost by.
        self._begun += self._ordered > 0
        self._granted, self._ordered = 0, np.zeros_like(self._ordered)
        self.in_episode[:] = False

    def progress(self) -> int:
        return self._number

    @property
    def has_fused_rounds(self) -> bool:
        return False

    def begin_burst(self, max_rounds: int) -> int:
        return 0

    def burst_round(self) -> tuple[Tensor, NDArray[np.float32], bool]:
        raise AssertionError("no burst was begun")

    def end_burst(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> RoundResult:
        raise AssertionError("no burst was begun")

    def use_compiled(self, compiler: Compiler) -> bool:
        raise AssertionError("a group on another machine is compiled before it starts")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
