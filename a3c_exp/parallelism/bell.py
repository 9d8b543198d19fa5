"""A doorbell from one process to another: it says that there is something to see, never what."""

import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait


class Ringer:
    """The end that rings. A ring is one byte, so that a process killed at any instruction leaves none half sent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def ring(self) -> None:
        """Wake whoever listens; never waits."""
        with suppress(BlockingIOError):  # full of rings: nobody has listened yet, but will find out all the same
            os.write(self._pipe.fileno(), b"\0")


class Listener:
    """The end that waits for rings."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @staticmethod
    def wait_for(listeners: Sequence["Listener"], or_end_of: Connection, timeout: float) -> None:
        """Wait for a ring at any of them, the end of a pipe or ``timeout`` seconds, whichever comes first.

        A ring that came before is not lost, and one that is heard may be about something that was seen already.
        """
        pipes = [listener._pipe for listener in listeners]
        for ready in wait([*pipes, or_end_of], timeout):
            if ready is not or_end_of:
                assert isinstance(ready, Connection)
                with suppress(BlockingIOError):
                    os.read(ready.fileno(), 4096)


def bell() -> tuple[Listener, Ringer]:
    """The two ends. Both may be sent to processes; a replaced process is given its predecessor's."""
    listening, ringing = Pipe(duplex=False)
    for pipe in (listening, ringing):
        os.set_blocking(pipe.fileno(), False)
    return Listener(listening), Ringer(ringing)
