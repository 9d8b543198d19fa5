"""A job's process as the launcher sees it: started, heard, told to begin or to stop, and always ended."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

from a3c_exp.sweep.launcher.job import JobSpec, main
from a3c_exp.system.process_setup import single_thread_environment

_READ_SIZE = 65536


class JobProcess:
    """One job's process, its pipe, and what it writes to its standard output and error.

    No daemon: a run may start workers of its own. It ends when its pipe does.

    Args:
        spec: what it is to run.
    """

    def __init__(self, spec: JobSpec) -> None:
        context: Any = multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe(duplex=True)
        self.output, writer = context.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        self.process: BaseProcess = context.Process(target=main, args=(spec, writer, theirs), name=f"job-{spec.number}")
        try:
            with single_thread_environment():
                self.process.start()
        except BaseException:
            self.pipe.close()
            self.output.close()
            raise
        finally:
            theirs.close()
            writer.close()
        self.last_heartbeat = time.monotonic()
        self._partial_line = b""

    @property
    def waitables(self) -> list[Any]:
        """What to wait for: words, lines, and the end."""
        found: list[Any] = [self.process.sentinel]
        return found + [pipe for pipe in (self.pipe, self.output) if not pipe.closed]

    @property
    def exitcode(self) -> int | None:
        return self.process.exitcode

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def send_start(self) -> None:
        """The word to begin."""
        with suppress(OSError):  # dead already, which its end will show
            self.pipe.send(True)

    def messages(self) -> Iterator[Any]:
        """Messages that lie ready."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                word = self.pipe.recv()
                self.last_heartbeat = time.monotonic()
                yield word
        except Exception:  # its end, or half a word of one that was killed: its exit code says which
            self.pipe.close()

    def output_lines(self, at_end: bool = False) -> list[str]:
        """Whole lines that it wrote; at its end the unfinished last one too."""
        with suppress(BlockingIOError):
            while not self.output.closed:
                some = os.read(self.output.fileno(), _READ_SIZE)
                if not some:
                    self.output.close()
                self._partial_line += some
        whole, _, self._partial_line = self._partial_line.rpartition(b"\n")
        if at_end and self._partial_line:
            whole, self._partial_line = whole + b"\n" + self._partial_line, b""
        return [line for line in whole.decode(errors="replace").split("\n") if line.strip()]

    def send_signal(self, signal_number: int) -> None:
        """Ask it to stop, as Ctrl-C (SIGINT) or as SIGTERM."""
        if self.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        self.process.join(1.0)

    def close(self) -> None:
        """Forget it, once it has ended."""
        for pipe in (self.pipe, self.output):
            pipe.close()
        with suppress(ValueError):  # killed, but the kernel is not done with it yet
            self.process.close()


def startup_timeout(heartbeat_timeout: float) -> float:
    """Seconds until a process must show its first sign of life: imports on a busy machine are no hang."""
    return max(heartbeat_timeout, 60.0)
