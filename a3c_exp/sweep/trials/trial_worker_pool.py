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

from a3c_exp.runs.record import typed
from a3c_exp.sweep.study.overrides import LANE, TIED

_PATIENCE = 20.0
"""Seconds that lanes have to leave a checkpoint when the study is stopped."""

_TOLD = (128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass(frozen=True)
class Gone:
    """A lane that has ended.

    Attributes:
        pid: its process.
        trouble: how, if it had not finished; else empty.
        told: whether someone told it to stop.
    """

    pid: int
    trouble: str
    told: bool


class Lanes:
    """Lane processes of one study.

    Args:
        log: file that their output is appended to.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def __len__(self) -> int:
        return len(self._processes)

    def start(self) -> None:
        """Start one more: this very command, told to work on the study and to leave its books to us."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "a3c_exp", *sys.argv[1:]],
                stdin=subprocess.PIPE,  # with us it ends: a lane ends when its standard input does
                stdout=log,
                stderr=log,
                env={**os.environ, LANE: shlex.join(typed()), TIED: "1"},
                process_group=0,  # Ctrl-C comes to us alone, and is handed on once
            )
        self._processes.append(process)

    def gone(self) -> list[Gone]:
        """Those that have ended since this was last asked."""
        over = [process for process in self._processes if process.poll() is not None]
        self._processes = [process for process in self._processes if process not in over]
        for process in over:
            if process.stdin is not None:
                process.stdin.close()
        return [Gone(process.pid, self._trouble(process), process.returncode in _TOLD) for process in over]

    def stop(self, number: int = signal.SIGTERM) -> Sequence[Gone]:
        """Hand a signal on, and wait until all have ended; who takes too long is killed."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(number)
        deadline = time.monotonic() + _PATIENCE
        found: list[Gone] = []
        while self._processes:
            found += self.gone()
            if time.monotonic() > deadline:
                for process in self._processes:
                    process.kill()
            time.sleep(0.05)
        return found

    def _trouble(self, process: "subprocess.Popen[bytes]") -> str:
        code = process.returncode
        if code == 0:
            return ""
        if code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
            return f"killed by signal {-code}"
        if code in _TOLD:
            return "stopped by Ctrl-C or SIGTERM"
        words = self._last_words()
        return f"its process ended with exit code {code}" + (f": {words}" if words else "")

    def _last_words(self) -> str:
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
            return lines[-1].removeprefix("a3c_exp: ") if lines else ""
        return ""
