"""A pipe by which one process wakes another: it says that there is something to see, never what."""

import os
import select
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection


def create_wakeup_pipe() -> tuple[Connection, Connection]:
    """The receiver and the sender. Both may be sent to processes; a replacement is given its predecessor's."""
    receiver, sender = Pipe(duplex=False)
    for pipe in (receiver, sender):
        os.set_blocking(pipe.fileno(), False)
    return receiver, sender


def notify(sender: Connection) -> None:
    """Wake the receiver; never waits. One byte: a process that is killed at any instruction leaves nothing half sent."""
    with suppress(BlockingIOError):  # the pipe is full, so the receiver will wake anyway
        os.write(sender.fileno(), b"\0")


class WakeupListener:
    """Waits at ``receivers`` to be woken, or until the ``pipe`` to the main process ends."""

    def __init__(self, receivers: Sequence[Connection], pipe: Connection) -> None:
        self._receiver_fds = {receiver.fileno() for receiver in receivers}
        self._receivers = list(receivers)  # a connection without a reference is closed
        self._poll = select.poll()
        for number in (*self._receiver_fds, pipe.fileno()):
            self._poll.register(number, select.POLLIN)

    def wait(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds to be notified. Nothing earlier is lost; it may be about what was seen already."""
        for number, _ in self._poll.poll(timeout * 1000.0):
            if number in self._receiver_fds:
                with suppress(BlockingIOError):
                    os.read(number, 4096)
