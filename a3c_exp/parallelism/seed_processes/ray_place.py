"""Nodes of a Ray cluster as places for processes that train: ``parallelism.on=ray``."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from a3c_exp.parallelism.base import MessageEvent
from a3c_exp.parallelism.multiprocess.supervisor import PRELOAD, Death
from a3c_exp.parallelism.seed_processes.place import Arguments, Place, Target
from a3c_exp.system.errors import ConfigError, WorkerError
from a3c_exp.system.ray.cluster import HEAD_SECONDS, HeadWatch
from a3c_exp.system.ray.driver import alive_nodes, check_cluster, is_connected, join, leave
from a3c_exp.system.ray.node import NodeDescription
from a3c_exp.system.ray.remote_process import SILENCE_SECONDS, RemoteProcess, wait_for_replies

_PATIENCE = 30.0  # seconds after which it is said that processes wait for a core
_USER, _KEY = "parallelism.on=ray", "parallelism.address"


class RayPlace(Place):
    """The nodes of the cluster at ``address``, a core for each process. See ``connect``."""

    loses_processes = True

    def __init__(self, address: str | None) -> None:
        self._address = address

    def check(self, device: str) -> None:
        """Raise ConfigError if nothing can train there with networks on that ``device``, or there is no such cluster."""
        if device != "cpu":
            raise ConfigError(f"{_USER} trains on processors only, but device is {device}. Try device=cpu")
        check_cluster(self._address, _USER, _KEY)

    def group(self, target: Target, arguments: Arguments) -> "RayProcesses":
        joined_here = not is_connected()
        return RayProcesses(target, arguments, HeadWatch(join(self._address, _USER, _KEY)), joined_here)


class RayProcesses:
    """Processes on nodes of a cluster. None trains on when this process ends, or is not heard of any more."""

    def __init__(self, target: Target, arguments: Arguments, head: HeadWatch, joined_here: bool) -> None:
        self._target, self._arguments, self._head = target, arguments, head
        self._joined_here = joined_here  # so that the cluster is left at the end
        self._here = NodeDescription.of_this_machine()
        self._processes: dict[int, RemoteProcess] = {}
        self._placed = set[int]()  # those of which it was said where they run
        self._refused = set[str]()  # nodes that have other versions, by Ray's names
        self._described = set[str]()  # nodes of which it was said how they differ
        self._awake_since = self._last_check = time.monotonic()
        self._is_stopping = False
        self._say_who_waits_at = math.inf

    @property
    def processes(self) -> Mapping[int, RemoteProcess]:
        return self._processes

    def start(self, index: int) -> None:
        self._placed.discard(index)
        self._say_who_waits_at = time.monotonic() + _PATIENCE
        self._processes[index] = RemoteProcess(
            self._target, self._arguments(index), f"workers-{index}", PRELOAD, self._here, self._refused
        )

    def listen(self, timeout: float) -> Iterator[tuple[int, Any]]:
        indices = {process: index for index, process in self._processes.items()}
        for process in wait_for_replies(indices, timeout):
            index = indices[process]
            messages = list(process.messages())
            yield from ((index, MessageEvent(text)) for text in self._news_of(index, process))
            yield from ((index, message) for message in messages)
        waiting = [index for index, process in self._processes.items() if process.node is None]
        if waiting and time.monotonic() > self._say_who_waits_at:
            self._say_who_waits_at = math.inf
            yield waiting[0], MessageEvent(f"{len(waiting)} of {len(self._processes)} processes wait for a core of the cluster")

    def deaths(self) -> list[tuple[Death, list[Any]]]:
        """As ``ProcessGroup`` says. Raises WorkerError once the head of the cluster is gone."""
        if self._is_stopping:
            return []
        if not self._head.look() and self._head.is_lost:
            raise WorkerError(
                f"the head of the cluster at {self._head.address} has not answered for {HEAD_SECONDS:g} s. Go on with "
                "resume=<run directory>, on this machine with parallelism.on=local"
            )
        deaths = list[tuple[Death, list[Any]]]()
        self._check_silence()
        for index, process in list(self._processes.items()):
            if (loss := process.loss) is not None:
                self._end(index)
                deaths.append((Death(index, loss.cause, loss.last_output, loss.lost), []))
        return deaths

    def stop(self, timeout: float) -> list[tuple[int, Any]]:
        deadline, messages = time.monotonic() + timeout, list[tuple[int, Any]]()
        self._is_stopping = True
        while self._processes and time.monotonic() < deadline:
            messages += self.listen(0.05)
            self._check_silence()
            for index, process in list(self._processes.items()):
                if process.loss is not None or process.node is None:  # it has ended, or has no core yet
                    self._end(index)
        for index in list(self._processes):
            self._end(index)
        if self._joined_here and not self._head.is_lost:
            leave()
        return messages

    def _news_of(self, index: int, process: RemoteProcess) -> list[str]:
        """What is to be said of a process that has just replied: where it is, how that differs, or that it could not be there,
        in which case it is started elsewhere."""
        node, loss = process.node, process.loss
        if node is None:
            return []
        if loss is None:
            news = [] if index in self._placed else [f"process {index} trains on {node.node}"]
            if node.node not in self._described and (difference := node.difference(self._here)) is not None:
                news.append(difference)
            self._placed.add(index)
            self._described.add(node.node)
            return news
        if loss.refused_by is None or self._is_stopping:
            return []
        is_new = loss.refused_by not in self._refused
        self._refused.add(loss.refused_by)
        others = [other for other in alive_nodes() if other["NodeID"] not in self._refused and other["Resources"].get("CPU")]
        if not others:
            return []  # it ends with this reason
        self._end(index)
        self.start(index)
        if process.request is not None:
            self._processes[index].send(process.request)
        return [f"no process trains on {node.node}, where one {loss.cause}"] if is_new else []

    def _check_silence(self) -> None:
        now = time.monotonic()
        if now - self._last_check > SILENCE_SECONDS / 2:  # this process itself was suspended, or busy
            self._awake_since = now
        self._last_check = now
        for process in self._processes.values():
            process.check_silence(self._awake_since)

    def _end(self, index: int) -> None:
        self._processes.pop(index).close(self._head.is_lost)
