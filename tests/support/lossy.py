"""A worker group whose orders and replies are lost, doubled, delayed, or lost with its host, and whose gateway is killed, as a
test says: what of gateway, server and main process is neither Ray nor the operating system, in one process."""

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.base import EpisodeEvent
from a3c_exp.parallelism.multiprocess.shared_counters import Command, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import create_wakeup_pipe
from a3c_exp.parallelism.parameter_server.announced_episodes import AnnouncedEpisodes
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField
from a3c_exp.parallelism.parameter_server.server import ServerProcess, StalenessPolicy
from a3c_exp.parallelism.ray.actor_transport import Placement
from a3c_exp.parallelism.ray.gateway import Gateway, GatewayOptions
from a3c_exp.parallelism.ray.gradient_dtype import GradientDtype
from a3c_exp.parallelism.ray.group_host import GroupHost
from a3c_exp.parallelism.ray.group_thread import GroupThread
from a3c_exp.parallelism.ray.messages import Answer, FromGroup, GroupDeath, GroupSpec, Order, Prepared
from a3c_exp.parallelism.ray.remote_group import GroupLost, RemoteInputs, Unavailable
from a3c_exp.parallelism.ray.strategy import RayParameterServer
from a3c_exp.parallelism.worker_group import RoundResult
from tests.support.driving import small_task

Fate = Literal["ok", "order lost", "reply lost", "twice", "late", "dead before", "dead after", "silent"]
FATES: tuple[Fate, ...] = ("ok", "order lost", "reply lost", "twice", "late", "dead before", "dead after", "silent")


@dataclass
class Applied:
    """An optimizer that remembers which gradients it got: each is one number."""

    values: list[float] = field(default_factory=list)
    lr: float = 1.0
    state_rows: int = 1

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        self.values.append(float(gradient[0]))
        weights.add_(1.0)


class CountingHost(GroupHost):
    """A host whose workers compute nothing: each window's gradient is a number that no other window has."""

    executed: list[float]
    ends: dict[float, tuple[int, int]]

    def _make_group(self) -> Any:
        return CountingGroup(self, len(self._spec.workers))


class CountingGroup:
    """Two steps and more make an episode."""

    def __init__(self, host: CountingHost, workers: int) -> None:
        self._host, self._length = host, np.zeros(workers, np.int64)
        self.weights, self.in_episode = torch.zeros(workers, 1), np.zeros(workers, np.bool_)
        self.loss_inputs = RemoteInputs(False)

    def truncate(self, workers: Iterable[int]) -> list[EndedEpisode]:
        return [self._end(k, "truncated") for k in workers if self.in_episode[k]]

    def round(self, allowed: NDArray[np.int64]) -> RoundResult:
        host, steps, ended = self._host, np.zeros_like(allowed), []
        gradients = torch.zeros(len(allowed), 1)
        if host._spec.pull_together:
            assert float(self.weights.min()) == float(self.weights.max()), "workers that pull together act with equal weights"
        host._rounds += allowed > 0
        for k in (allowed > 0).nonzero()[0].tolist():
            if not self.in_episode[k]:
                if not host._take_ticket(k):
                    continue
                host._episodes_begun[k] += 1
                self.in_episode[k], self._length[k] = True, 0
            steps[k] = min(allowed[k], EPISODE - self._length[k])
            self._length[k] += steps[k]
            gradients[k] = float(len(host.executed) + 1)
            host.executed.append(float(gradients[k]))
            if self._length[k] == EPISODE:
                ended.append(self._end(k, "terminated"))
                host.ends[host.executed[-1]] = host._spec.workers[k], ended[-1].env_seed
        return RoundResult(gradients, np.zeros((len(allowed), STATISTICS), np.float32), steps, ended)

    def _end(self, k: int, end: Any) -> EndedEpisode:
        self.in_episode[k] = False
        return EndedEpisode(k, 1.0, int(self._length[k]), end, int(self._host._episodes_begun[k]))


EPISODE = 8
STATISTICS = len(small_task(Budget(), 1).learner.statistics)


class LossyTransport:
    """The way to one host."""

    def __init__(self, network: "LossyNetwork", spec: GroupSpec) -> None:
        self.incarnation, self._network = spec.incarnation, network
        self._host = CountingHost(spec)
        self._host.executed, self._host.ends = network.executed, network.ends
        self._arriving = deque[Answer | Exception]()
        self._previous: list[Answer] = []

    def prepared(self, timeout: float) -> Prepared:
        prepared = self._host.prepare()
        assert prepared == Prepared(pulls_together=self._network.options.pull_together)
        return prepared

    def send(self, order: Order) -> None:
        fate = next(self._network.fates, "ok")
        if fate in ("order lost", "dead before"):
            self._arriving.append(Unavailable() if fate == "order lost" else GroupLost("died"))
            return
        answer = self._host.execute(order)
        self._network.pass_point()
        match fate:
            case "ok":
                self._arriving.append(answer)
            case "reply lost":
                self._arriving.append(Unavailable())
            case "twice":
                assert self._host.execute(order) is answer
                self._arriving += [answer, answer]
            case "late":
                self._arriving += [*self._network.undelivered, *self._previous, answer]
            case "dead after":
                self._arriving.append(GroupLost("died"))
                self._network.undelivered.append(answer)
            case "silent":
                self._network.undelivered.append(answer)
        self._previous = [answer]

    def receive(self, timeout: float) -> Answer | None:
        if not self._arriving:
            self._network.is_patient = False
            return None
        arrived = self._arriving.popleft()
        if isinstance(arrived, Unavailable | GroupLost):
            raise arrived
        assert not isinstance(arrived, Exception)
        return arrived

    def beat(self) -> None: ...

    def close(self) -> None: ...


class Killed(BaseException):
    """What a gateway does not come to do any more."""


class LossyNetwork(Gateway):
    """A gateway with one group, whose hosts live in this process; every answer of theirs meets the next of the ``fates``.

    Args:
        kills: at which of the points that it passes the gateway is killed; the first is 1.

    Attributes:
        executed: the gradients that hosts have computed.
        ends: the worker and number of the episode that ended in the window of a gradient.
        optimizer: knows those that were applied.
        episodes, deaths: what the main process was told.
        points: how many were passed.
    """

    def __init__(
        self,
        fates: Iterable[Fate],
        budget: Budget,
        folder: Path,
        workers: Sequence[int] = (0, 1),
        kills: Collection[int] = (),
        pull_together: bool = False,
        gradient_dtype: GradientDtype = "float32",
    ) -> None:
        self.fates, self.executed = iter(fates), list[float]()
        self.ends: dict[float, tuple[int, int]] = {}
        self.points, self._kills = 0, kills
        self.undelivered: list[Answer] = []
        self.is_patient = True
        self.episodes, self.deaths = list[EpisodeEvent](), list[GroupDeath]()
        self.optimizer = Applied()
        task = replace(small_task(budget, len(workers)), optimizer=self.optimizer)
        zeros = np.zeros(len(workers), np.int64)
        self._pipes = Pipe()
        options = GatewayOptions("nowhere", Placement(1), 60.0, 60.0, 60.0, 0, pull_together, gradient_dtype)
        super().__init__(task, options, 2, SharedCounters.create(3, zeros, zeros, budget), self._pipes[0])
        self.send = self._hear
        self.double_buffer = DoubleBufferedState.create(torch.zeros(1), torch.zeros(1, 1), len(workers))
        self.slots = GradientSlots.create(len(workers), 1, STATISTICS)
        self._publish, self.slots.__dict__["_publish"] = self.slots._publish, self._publish_or_die
        self._main = RayParameterServer()
        self._main._counters, self._main._double_buffer, self._main._gradient_slots = (
            self.counters,
            self.double_buffer,
            self.slots,
        )
        self._main._announced = AnnouncedEpisodes()
        ready, answered = create_wakeup_pipe(), create_wakeup_pipe()
        shared = self.double_buffer, self.slots, [workers], self.counters
        self.server = ServerProcess(task, StalenessPolicy(), 1, *shared, [ready[0]], [answered[1]], self._pipes[0])
        self._make_thread = lambda: GroupThread(self, 0, workers, self.slots, folder / "lock", ready[1], answered[0])

    def make_host(self, spec: GroupSpec) -> Any:
        return LossyTransport(self, spec)

    def wait(self, timeout: float) -> None:
        """The group waits for the server, which serves; then the main process may see that the budget is used up."""
        self.is_patient = True
        self.pass_point()
        self.server._serve(self.slots.pending().tolist())
        self.pass_point()
        self._main_looks()

    def pass_point(self) -> None:
        """Here a gateway may be killed."""
        self.points += 1
        if self.points in self._kills:
            raise Killed

    def _publish_or_die(self, fields: NDArray[np.int64]) -> None:
        self.pass_point()
        self._publish(fields)
        self.pass_point()

    def _main_looks(self) -> None:
        self.episodes += self._main._take_settled()  # type: ignore[arg-type]
        self._look()

    def _look(self) -> None:
        counters, budget = self.counters, self.setup.budget
        if budget.fraction(counters.episodes(), counters.env_steps(), int(self.double_buffer.read_counters()[1])) >= 1.0:
            counters.send_command(Command.stop)

    def _hear(self, message: Any) -> None:
        self.pass_point()
        match message:
            case FromGroup():
                self.episodes += self._main._handle_message(2, message)  # type: ignore[arg-type]
                self._look()
                self.pass_point()
            case GroupDeath():
                self.is_patient = True
                self.deaths.append(message)
            case _:
                raise AssertionError(message)

    def run(self) -> None:
        while True:
            thread = self._make_thread()
            thread._exchange._listener = self  # type: ignore[assignment]
            thread._group._timeout = lambda: math.inf if self.is_patient else 0.0
            thread._run()
            if self.error is None:
                break
            assert Killed.__name__ in self.error, self.error
            self.error = None
            self._main._release_dead(0)
        self.episodes += self._main._take_settled()  # type: ignore[arg-type]
        fields = self.slots.fields.numpy()
        assert (fields[:, SlotField.sent] == fields[:, SlotField.answered]).all()
