"""A child process on a node of the cluster, as the driver sees it."""

import pickle
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a3c_exp.system.child_process import Crash, Heartbeat
from a3c_exp.system.ray.node import NodeDescription, arithmetic_environment
from a3c_exp.system.ray.process_host import HostedProcess, HostReply, ProcessHost

HEARTBEAT_TIMEOUT = 60.0
"""Seconds without a message of the child after which it counts as hung."""
SILENCE_SECONDS = 45.0
"""Seconds after which driver and node count as gone for each other."""
_RETRY_SECONDS = 0.5  # after which one that could not be reached is asked again


@dataclass(frozen=True)
class Loss:
    """How a process ended that should not have.

    Attributes:
        cause: to go behind its name in a sentence.
        lost: with its node, or killed: it may go on elsewhere.
        refused_by: the node that does not compute alike, by the name that Ray has for it, if that is why.
        last_output: its traceback, if it crashed.
    """

    cause: str
    lost: bool
    refused_by: str | None = None
    last_output: str = ""


class RemoteProcess:
    """A function that runs in a process on some node that has a core free, as soon as there is one.

    Args:
        target: called with ``arguments`` and its end of the pipe; all of them can be pickled.
        expected: the machine that all nodes must agree with.
        avoid: nodes on which it must not run, by Ray's names.

    Attributes:
        node: where it runs; ``None`` until it has a core.
        loss: how it ended, once it has.
        request: what was sent last; ``None`` before.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        name: str,
        preload: Sequence[str],
        expected: NodeDescription,
        avoid: Collection[str] = (),
    ) -> None:
        import ray

        content, here = pickle.dumps((target, arguments)), str(Path.cwd())
        hosted = HostedProcess(
            content, name, preload, here, arithmetic_environment(), expected, HEARTBEAT_TIMEOUT, SILENCE_SECONDS
        )
        options: dict[str, Any] = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 4}
        if avoid:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoid))})"}
        self._actor: Any = ray.remote(ProcessHost).options(**options).remote(hosted)
        self.node: NodeDescription | None = None
        self.loss: Loss | None = None
        self.pid = 0
        self._received = self._number = 0
        self.request: Any = None
        self._last_output = ""
        self._heard = self._asked = time.monotonic()
        self._question: Any = None
        self._ask()

    def send(self, message: Any) -> None:
        """Send a request, in the place of those that it has not had."""
        self._number, self.request = self._number + 1, message
        if self.loss is None:
            self._actor.tell.remote(self._number, pickle.dumps(message))

    def messages(self) -> Iterator[Any]:
        """What it has sent that was not taken yet. To be called once ``wait_for_replies`` has named it."""
        import ray

        try:
            reply: HostReply = ray.get(self._question, timeout=SILENCE_SECONDS)
        except ray.exceptions.ActorUnavailableError:  # it may come back, or be said to be dead later
            self._question = None
            return
        except ray.exceptions.RayTaskError as error:  # of the actor itself: it would not go better elsewhere
            self.loss = Loss(f"could not be started: {str(error).strip().splitlines()[-1]}", lost=False)
            return
        except (ray.exceptions.RayError, TimeoutError) as error:
            self.loss = Loss(f"was lost with its node or its host process ({_in_words(error)})", lost=True)
            return
        self._heard, self.node, self.pid = time.monotonic(), reply.node, reply.pid
        for number, content in reply.messages:
            if number <= self._received:
                continue
            self._received = number
            message = pickle.loads(content)
            if isinstance(message, Crash):
                self._last_output = message.text
            elif not isinstance(message, Heartbeat):
                yield message
        if reply.cause is None:
            self._ask()
        else:
            refused_by = reply.node_id if reply.refused else None
            self.loss = Loss(reply.cause, reply.killed, refused_by, self._last_output)

    def check_silence(self, awake_since: float) -> None:
        """Take it for lost if its node has not answered for too long; the driver has been there to hear it ``awake_since``
        that time."""
        if self.loss is not None:
            return
        if self._question is None and time.monotonic() - self._asked > _RETRY_SECONDS:
            self._ask()
        if self.node is not None and time.monotonic() - max(self._heard, awake_since) > SILENCE_SECONDS:
            self.loss = Loss(f"on {self.node.node} has not answered for {SILENCE_SECONDS:g} s", lost=True)

    def close(self, head_is_lost: bool = False) -> None:
        """Give its core back. Without a head nobody could be asked to end it: it does so itself."""
        import ray

        if not head_is_lost:
            ray.kill(self._actor)
        self._actor = self._question = None

    def _ask(self) -> None:
        self._asked = time.monotonic()
        self._question = self._actor.ask.remote(self._received, self._number, pickle.dumps(self.request))


def wait_for_replies(processes: Collection[RemoteProcess], timeout: float) -> list[RemoteProcess]:
    """Wait at most ``timeout`` seconds until one has replied; returns those that have."""
    import ray

    asked = {process._question: process for process in processes if process.loss is None and process._question is not None}
    if not asked:
        time.sleep(timeout)
        return []
    ray.wait(list(asked), num_returns=1, timeout=timeout)
    return [asked[question] for question in ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]]


def _in_words(error: Exception) -> str:
    """The kind of an error of Ray, and of one in the actor's own code what that said last."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if "creation task" in str(error) else type(error).__name__
