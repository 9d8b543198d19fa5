"""One job's process on this machine, as seen from outside: what it says, what it prints, how it ends."""

import multiprocessing
import os
from contextlib import suppress
from typing import Any

from a3c_exp.sweep.launcher.job import JobSpec, main
from a3c_exp.system.child_process import ChildProcess

PRELOAD = ("a3c_exp.sweep.launcher.preload",)  # what the fork server should import in addition to what workers need
STOP_TIMEOUT = 30.0  # how long runs may take to save a checkpoint and end when asked to stop, before they are killed
_READ_SIZE = 65536


class JobProcess(ChildProcess):
    """One job's process and what it prints. No daemon: a run may start workers of its own. It ends when its pipe does."""

    lost = False

    def __init__(self, spec: JobSpec) -> None:
        self.output, child_output = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        self._partial_line = b""
        with child_output:
            super().__init__(main, (spec, child_output), "forkserver", f"job-{spec.number}", daemon=False)

    @property
    def waitables(self) -> list[Any]:
        return [*super().waitables, *([] if self.output.closed else [self.output])]

    def output_lines(self, at_end: bool = False) -> list[str]:
        """Whole lines that it wrote; at its end the unfinished last one too."""
        with suppress(BlockingIOError):
            while not self.output.closed:
                if not (content := os.read(self.output.fileno(), _READ_SIZE)):
                    self.output.close()
                self._partial_line += content
        whole, _, self._partial_line = self._partial_line.rpartition(b"\n")
        if at_end and self._partial_line:
            whole, self._partial_line = whole + b"\n" + self._partial_line, b""
        return [line for line in whole.decode(errors="replace").split("\n") if line.strip()]

    def close(self) -> None:
        super().close()
        self.output.close()
