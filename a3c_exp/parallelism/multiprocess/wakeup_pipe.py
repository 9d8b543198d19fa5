"""A doorbell from one process to another: it says that there is something to see, never what."""

import os
import select
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection


def create_wakeup_pipe() -> tuple[Connection, Connection]:
    """The end to listen at and the end to ring. Both may be sent to processes; a replacement is given its predecessor's."""
    listening, ringing = Pipe(duplex=False)
    for pipe in (listening, ringing):
        os.set_blocking(pipe.fileno(), False)
    return listening, ringing


def notify(sender: Connection) -> None:
    """Wake whoever listens; never waits. One byte: a process that is killed at any instruction leaves no ring half sent."""
    with suppress(BlockingIOError):  # full of rings: nobody has listened yet, but will find out all the same
        os.write(sender.fileno(), b"\0")


class WakeupListener:
    """Waits for rings, and for the end of the pipe to the main process, which is no reason to wait any longer.

    Args:
        receivers: the ends to listen at.
        pipe: to the main process.
    """

    def __init__(self, receivers: Sequence[Connection], pipe: Connection) -> None:
        self._receiver_fds = {one.fileno() for one in receivers}
        self._receivers = list(receivers)  # a connection that nobody holds is closed
        self._poll = select.poll()
        for number in (*self._receiver_fds, pipe.fileno()):
            self._poll.register(number, select.POLLIN)

    def wait(self, timeout: float) -> None:
        """Until somebody rings, for at most ``timeout`` seconds.

        A ring that came before is not lost, and one that is heard may be about something that was seen already.
        """
        for number, _ in self._poll.poll(timeout * 1000.0):
            if number in self._receiver_fds:
                with suppress(BlockingIOError):
                    os.read(number, 4096)
