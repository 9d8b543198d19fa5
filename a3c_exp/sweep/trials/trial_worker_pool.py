"""The processes that run a study's trials: started, watched, and ended with whoever started them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.sweep.study.overrides import EXIT_WITH_PARENT_VARIABLE, TRIAL_WORKER_VARIABLE
from a3c_exp.system.cli import command_line

_STOP_TIMEOUT = 20.0
"""Seconds that lanes have to leave a checkpoint when the study is stopped."""

_STOP_EXIT_CODES = (128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass(frozen=True)
class WorkerExit:
    """A lane that has ended.

    Attributes:
        pid: its process.
        failure: how, if it had not finished; else empty.
        was_stopped: whether someone told it to stop.
    """

    pid: int
    failure: str
    was_stopped: bool


class TrialWorkerPool:
    """Lane processes of one study.

    Args:
        log_path: file that their output is appended to.
    """

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._processes: list[subprocess.Popen[bytes]] = []

    def __len__(self) -> int:
        return len(self._processes)

    def start(self) -> None:
        """Start one more: this very command, told to work on the study and to leave its books to us."""
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "a3c_exp", *sys.argv[1:]],
                stdin=subprocess.PIPE,  # with us it ends: a lane ends when its standard input does
                stdout=log,
                stderr=log,
                env={**os.environ, TRIAL_WORKER_VARIABLE: shlex.join(command_line()), EXIT_WITH_PARENT_VARIABLE: "1"},
                process_group=0,  # Ctrl-C comes to us alone, and is handed on once
            )
        self._processes.append(process)

    def pop_exited(self) -> list[WorkerExit]:
        """Those that have ended since this was last asked."""
        over = [process for process in self._processes if process.poll() is not None]
        self._processes = [process for process in self._processes if process not in over]
        for process in over:
            if process.stdin is not None:
                process.stdin.close()
        return [
            WorkerExit(process.pid, self._describe_failure(process), process.returncode in _STOP_EXIT_CODES) for process in over
        ]

    def stop(self, signal_number: int = signal.SIGTERM) -> Sequence[WorkerExit]:
        """Hand a signal on, and wait until all have ended; who takes too long is killed."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal_number)
        deadline = time.monotonic() + _STOP_TIMEOUT
        found: list[WorkerExit] = []
        while self._processes:
            found += self.pop_exited()
            if time.monotonic() > deadline:
                for process in self._processes:
                    process.kill()
            time.sleep(0.05)
        return found

    def _describe_failure(self, process: "subprocess.Popen[bytes]") -> str:
        code = process.returncode
        if code == 0:
            return ""
        if code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
            return f"killed by signal {-code}"
        if code in _STOP_EXIT_CODES:
            return "stopped by Ctrl-C or SIGTERM"
        words = self._last_output()
        return f"its process ended with exit code {code}" + (f": {words}" if words else "")

    def _last_output(self) -> str:
        with suppress(OSError), self.log_path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
            return lines[-1].removeprefix("a3c_exp: ") if lines else ""
        return ""
