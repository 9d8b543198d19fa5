"""The processes that run a study's trials."""

import os
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.runs.tolerant_io import last_lines
from a3c_exp.sweep.study.overrides import EXIT_WITH_PARENT_VARIABLE, TRIAL_WORKER_VARIABLE
from a3c_exp.system.child_process import ChildCommand, describe_exit, end_all
from a3c_exp.system.cli import command_line
from a3c_exp.system.signals import STOP_EXIT_CODES

_STOP_TIMEOUT = 20.0
"""Seconds that trial workers have to leave a checkpoint when the study is stopped."""


@dataclass(frozen=True)
class WorkerExit:
    """A trial worker that has ended."""

    pid: int
    failure: str  # how, if it had not finished; else empty
    was_stopped: bool  # it was asked to stop


class TrialWorkerPool:
    """Trial workers of one study, whose output is appended to a file. They end with this process."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._processes: list[ChildCommand] = []

    def __len__(self) -> int:
        return len(self._processes)

    def start(self) -> None:
        """Start one more: the command of this process, with the environment variable that makes it a trial worker."""
        command = [sys.executable, "-m", "a3c_exp", *sys.argv[1:]]
        variables = {**os.environ, TRIAL_WORKER_VARIABLE: shlex.join(command_line()), EXIT_WITH_PARENT_VARIABLE: "1"}
        with self.log_path.open("ab") as log:
            # In a process group of its own: Ctrl-C comes to this process alone, which passes it on once.
            self._processes.append(ChildCommand(command, stdout=log, stderr=log, env=variables, process_group=0))

    def pop_exited(self) -> list[WorkerExit]:
        """Those that have ended since the last call."""
        exits = []
        for process in list(self._processes):
            if (code := process.exitcode) is not None:
                self._processes.remove(process)
                process.close()
                exits.append(WorkerExit(process.pid, self._describe_failure(code), code in STOP_EXIT_CODES))
        return exits

    def stop(self, signal_number: int = signal.SIGTERM) -> list[WorkerExit]:
        """Pass a signal on, and wait until all have ended; those that take too long are killed."""
        for process in self._processes:
            process.send_signal(signal_number)
        end_all(self._processes, _STOP_TIMEOUT)
        return self.pop_exited()

    def _describe_failure(self, exitcode: int) -> str:
        if exitcode == 0:
            return ""
        if exitcode in STOP_EXIT_CODES:
            return f"stopped by {STOP_EXIT_CODES[exitcode]}"
        said = [line for line in last_lines(self.log_path) if line.strip()] if exitcode > 0 else []
        last = f": {said[0].decode(errors='replace').strip().removeprefix('a3c_exp: ')}" if said else ""
        return f"its process {describe_exit(exitcode)}{last}"
