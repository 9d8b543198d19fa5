"""A server process and processes that only report gradients to it, as the parameter server's workers do between windows.

Every gradient is one number in all its elements, so that a torn one shows by itself; the number says whose it is and which.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, create_wakeup_pipe, notify
from a3c_exp.parallelism.parameter_server import server as server
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField
from a3c_exp.parallelism.parameter_server.server import ServerProcess, StalenessPolicy
from a3c_exp.system.process_setup import single_thread_environment
from tests.support.pushing import PATIENCE, context, ended

SendPoint = Literal["before_write", "half_written", "gradient_written", "all_written"]
"""How much of a letter is written when its sender dies: all but handing it over at the last."""
FIGURES = np.zeros(len(StatisticsTable()), np.float32)


def value(worker: int, number: int) -> float:
    """What the elements of a worker's gradient with this number are; exact in float32, also sums of thousands of them."""
    return float(number * 16 + worker)


class Sum:
    """Adds each gradient to all weights."""

    lr = 1.0
    state_rows = 0

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        weights.add_(gradient, alpha=lr)


@dataclass(frozen=True)
class RecordingOptimizer:
    """Adds each gradient to all weights, and writes down what came, in order; a torn gradient ends the server.

    Attributes:
        file: receives one int64 an update: the gradient's number.
    """

    file: Path
    lr: float = 1.0
    state_rows: int = 1

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        low, high = gradient.aminmax()
        assert low == high, f"a torn gradient, from {low} to {high}, was applied"
        weights.add_(gradient, alpha=lr)
        optimizer_state.add_(1.0)
        with self.file.open("ab") as file:
            file.write(int(low).to_bytes(8, "little"))

    def read(self) -> list[tuple[int, int]]:
        """``(worker, number)`` of every update so far, in order."""
        if not self.file.exists():
            return []
        return [(entry % 16, entry // 16) for entry in np.fromfile(self.file, np.int64).tolist()]


class ServerHarness:
    """What a server process and those who report to it share, and the processes of both.

    Args:
        shares: the worker numbers of each reporting process.
        size: P.
        optimizer: the server's.
        staleness: what it does about old gradients.
    """

    def __init__(
        self, shares: Sequence[Sequence[int]], size: int, optimizer: Optimizer, staleness: StalenessPolicy | None = None
    ) -> None:
        workers = sum(map(len, shares))
        zeros = np.zeros(workers, np.int64)
        self.shares = shares
        self.task = TrainingSetup(_nothing, _nothing, optimizer, LearnerConfig(), workers, Budget(), None, 0)
        self.counters = SharedCounters.create(len(shares) + 1, zeros, zeros, Budget())
        self.double_buffer = DoubleBufferedState.create(torch.zeros(size), torch.zeros(optimizer.state_rows, size), workers)
        self.gradient_slots = GradientSlots.create(workers, size, len(FIGURES))
        self.reported, self.answered = [create_wakeup_pipe() for _ in shares], [create_wakeup_pipe() for _ in shares]
        self.staleness = staleness or StalenessPolicy()
        self.pipes: list[Connection] = []

    def _agent_arguments(self) -> tuple[Any, ...]:
        ours, theirs = Pipe()
        self.pipes += [ours, theirs]
        return (
            self.task,
            self.staleness,
            len(self.shares),
            self.double_buffer,
            self.gradient_slots,
            self.shares,
            self.counters,
            [listening for listening, _ in self.reported],
            [ringing for _, ringing in self.answered],
            theirs,
        )

    def agent(self) -> ServerProcess:
        """A server process in this process."""
        return ServerProcess(*self._agent_arguments())

    def start_agent(self) -> BaseProcess:
        """A server process in a process of its own, which ends once ``close`` was said and all requests are answered."""
        return _started(server.main, *self._agent_arguments())

    def start(self, share: int, times: int, dies: SendPoint | None = None) -> BaseProcess:
        """A process that reports ``times`` gradients for each of its workers, all at once and then waiting for the answers.

        With ``dies`` it is killed at that point of sending the last.
        """
        bells = self.reported[share][1], self.answered[share][0]
        return _started(report, self.gradient_slots, list(self.shares[share]), times, dies, *bells)

    def wait_for_a_poll(self) -> None:
        """Until the server's process, woken up, has once more looked for gradients: it sends a heartbeat before it does."""
        row, deadline = self.counters.table[len(self.shares)], time.monotonic() + PATIENCE
        for _ in range(2):  # the first may be of a look that had begun already
            last = row[CounterColumn.heartbeat]
            notify(self.reported[0][1])
            while row[CounterColumn.heartbeat] == last:
                assert time.monotonic() < deadline, "the server does not look"
                time.sleep(0.001)

    def close(self, agent: BaseProcess) -> None:
        """Have the server end, and see that it does so in order."""
        self.counters.send_command(Command.close)
        notify(self.reported[0][1])
        assert ended(agent) == 0


def _nothing(**given: Any) -> Any:
    raise AssertionError("nobody steps an environment here")


def _started(target: Any, *arguments: Any) -> BaseProcess:
    process: BaseProcess = context().Process(target=target, args=arguments, daemon=True)
    with single_thread_environment():
        process.start()
    return process


class Fatal:
    """One of the arrays that a gradient is written into; a process that begins to write there is killed."""

    def __init__(self, array: Tensor, written: int = 0) -> None:
        self._array = array
        self._written = written

    def __getitem__(self, worker: int) -> "Fatal":
        return Fatal(self._array[worker], self._written)

    def copy_(self, gradient: Tensor) -> None:
        self._array[: self._written].copy_(gradient[: self._written])
        os.kill(os.getpid(), signal.SIGKILL)

    def numpy(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is dead")


class Unsealed(GradientSlots):
    """A process that sends a gradient is killed before the store that hands it over."""

    def _publish(self, fields: NDArray[np.int64]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def fatal(gradient_slots: GradientSlots, dies: SendPoint) -> GradientSlots:
    """The same slots, for a process that is to be killed in the middle of ``send``."""
    gradients, window_stats = gradient_slots.gradients, gradient_slots.window_stats
    if dies == "before_write":
        return replace(gradient_slots, gradients=Fatal(gradients))
    if dies == "half_written":
        return replace(gradient_slots, gradients=Fatal(gradients, gradients.shape[1] // 2))
    if dies == "gradient_written":
        return replace(gradient_slots, window_stats=Fatal(window_stats))
    return Unsealed(gradients, gradient_slots.weights, window_stats, gradient_slots.fields)


def report(
    gradient_slots: GradientSlots,
    workers: list[int],
    times: int,
    dies: SendPoint | None,
    reported: Connection,
    answered: Connection,
) -> None:
    """Process: wait for answers to what a predecessor sent, then go on behind its last letter."""
    torch.set_num_threads(1)
    never, _kept = Pipe()
    listener = WakeupListener([answered], never)
    notes, gradient = gradient_slots.fields.numpy(), torch.empty_like(gradient_slots.gradients[0])

    def await_answers() -> None:
        notify(reported)
        deadline = time.monotonic() + PATIENCE
        while (notes[workers, SlotField.sent] != notes[workers, SlotField.answered]).any():
            listener.wait(0.05)
            assert time.monotonic() < deadline, "no answer"

    await_answers()
    for round in range(times):
        for worker in workers:
            assert (gradient_slots.weights[worker] == gradient_slots.weights[worker, 0]).all(), "an answer is torn"
            number, pulled_at = int(notes[worker, SlotField.sent]) + 1, int(notes[worker, SlotField.answered_at])
            gradient.fill_(value(worker, number))
            if dies is not None and round == times - 1:
                gradient_slots = fatal(gradient_slots, dies)
            gradient_slots.send(worker, gradient, FIGURES, pulled_at, 1, False)
        await_answers()
