"""A job's process as the launcher sees it: started, heard, told to begin or to stop, and always ended."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

from a3c_exp.sweep.launcher.job import JobOrder, main
from a3c_exp.system.process_setup import one_thread_each

_TEXT_AT_ONCE = 65536


class JobProcess:
    """One job's process, its pipe, and what it writes to its standard output and error.

    No daemon: a run may start workers of its own. It ends when its pipe does.

    Args:
        order: what it is to run.
    """

    def __init__(self, order: JobOrder) -> None:
        context: Any = multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe(duplex=True)
        self.output, writer = context.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        self.process: BaseProcess = context.Process(target=main, args=(order, writer, theirs), name=f"job-{order.number}")
        try:
            with one_thread_each():
                self.process.start()
        except BaseException:
            self.pipe.close()
            self.output.close()
            raise
        finally:
            theirs.close()
            writer.close()
        self.last_sign = time.monotonic()
        self._half_line = b""

    @property
    def sources(self) -> list[Any]:
        """What to wait for: words, lines, and the end."""
        found: list[Any] = [self.process.sentinel]
        return found + [pipe for pipe in (self.pipe, self.output) if not pipe.closed]

    @property
    def exitcode(self) -> int | None:
        return self.process.exitcode

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def begin(self) -> None:
        """The word to begin."""
        with suppress(OSError):  # dead already, which its end will show
            self.pipe.send(True)

    def words(self) -> Iterator[Any]:
        """Messages that lie ready."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                word = self.pipe.recv()
                self.last_sign = time.monotonic()
                yield word
        except Exception:  # its end, or half a word of one that was killed: its exit code says which
            self.pipe.close()

    def lines(self, last: bool = False) -> list[str]:
        """Whole lines that it wrote; at its end the unfinished last one too."""
        with suppress(BlockingIOError):
            while not self.output.closed:
                some = os.read(self.output.fileno(), _TEXT_AT_ONCE)
                if not some:
                    self.output.close()
                self._half_line += some
        whole, _, self._half_line = self._half_line.rpartition(b"\n")
        if last and self._half_line:
            whole, self._half_line = whole + b"\n" + self._half_line, b""
        return [line for line in whole.decode(errors="replace").split("\n") if line.strip()]

    def signal(self, number: int) -> None:
        """Ask it to stop, as Ctrl-C (SIGINT) or as SIGTERM."""
        if self.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.join(1.0)

    def close(self) -> None:
        """Forget it, once it has ended."""
        for pipe in (self.pipe, self.output):
            pipe.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            self.process.close()


def start_limit(silence: float) -> float:
    """Seconds until a process must show its first sign of life: imports on a busy machine are no hang."""
    return max(silence, 60.0)
