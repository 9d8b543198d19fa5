"""One job on a node of the cluster, as the launcher sees it: it behaves like a process of this machine."""

import time
from collections.abc import Iterator
from typing import Any

from a3c_exp.sweep.ray_launcher.host import HostReport
from a3c_exp.sweep.ray_launcher.run_files import write_files


class RemoteJob:
    """An actor that hosts a job's process; ``reply`` is what it was asked last."""

    def __init__(self, actor: Any, directory: str) -> None:
        self.actor, self.directory = actor, directory
        self.reply: Any = actor.poll.remote()
        self.heard: float | None = None  # when it last answered; None: it waits for a node with cores that are free
        self.cause: str | None = None  # how it ended
        self.lost = False  # with its node, for no reason of its own
        self.node, self.pid = "", 0
        self._lines: list[str] = []
        self._messages: list[Any] = []

    def take(self, report: HostReport) -> None:
        """Take note of an answer."""
        if self.heard is None:
            self._lines.append(f"on {report.node}")
        self.heard = time.monotonic()
        self.node, self.pid = report.node, report.pid
        self._lines += report.lines
        self._messages += report.messages
        if report.files:
            write_files(self.directory, report.files)
        self.cause, self.lost = report.cause, report.abandoned
        self.reply = None if report.cause else self.actor.poll.remote()

    def lose(self, cause: str) -> None:
        """Its node does not answer any more."""
        self.cause, self.lost, self.reply = cause, True, None

    def forget(self) -> None:
        """There is no cluster any more that could be asked to end it."""
        self.lost, self.actor = True, None

    def output_lines(self, at_end: bool = False) -> list[str]:
        lines, self._lines = self._lines, []
        return lines

    def messages(self) -> Iterator[Any]:
        messages, self._messages = self._messages, []
        yield from messages

    def send(self, message: Any) -> None:
        self.actor.start.remote()

    def send_signal(self, number: int) -> None:
        self.actor.send_signal.remote(number)

    def close(self) -> None:
        """Give its cores back."""
        import ray

        self.reply = None
        if self.actor is not None:
            ray.kill(self.actor)
