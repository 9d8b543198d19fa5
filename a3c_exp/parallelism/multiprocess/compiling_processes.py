"""Processes that compile beside others that train."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from a3c_exp.compile.compiler import Compiler, default_folder
from a3c_exp.compile.sharing import SharingCompiler
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.system.child_process import ChildProcess, StartMethod, describe_exit, end_all
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.signals import scratch_folders
from a3c_exp.system.torch_settings import single_threaded

NOT_COMPILED = "not compiled, so this run goes on uncompiled and slower"
MAX_PROCESSES = 4
"""That compile: a training has about as many functions."""
_STOP_SECONDS = 1.0  # how long a compiling process may take to end when asked to, before it is killed


@dataclass(frozen=True)
class CompileTask:
    """All that the processes of a training run compiled; picklable."""

    setup: TrainingSetup
    group_sizes: tuple[int, ...]  # how many workers each process hosts
    sharing: Sharing  # what the workers of a process have in common
    applies_updates: bool  # whether processes apply their workers' gradients themselves

    def run(self, compiler: Compiler) -> Compiler:
        """Run one window with each number of workers, so that all their functions pass through the ``compiler``.

        Raises:
            NotCompiledYet: the compiler only looks for functions, and one is not there.
        """
        setup = replace(self.setup, compile=True)
        for k in sorted(set(self.group_sizes)):
            members, (rounds, begun) = [WorkerId(setup.seed, worker) for worker in range(k)], np.zeros((2, k), np.int64)
            own = members, rounds, begun, lambda _: True
            group = WorkerGroup(setup, *own, *self.sharing.of_group, compiler=compiler)
            try:
                group.round(np.full(k, setup.learner.n_step))
                if self.applies_updates:
                    SequentialUpdates.try_compile(group, setup.optimizer, group.gradient_rows)
            finally:
                group.close()
        return compiler


@dataclass(frozen=True)
class CompileOutcome:
    """How compiling in another process went."""

    compiled: bool
    status_text: str
    seconds: float = 0.0  # for which the process compiled
    is_last: bool = False  # no process is left


class CompilingProcesses:
    """Compile task after task in processes of their own, at ``most`` so many, which share a task's functions, end with this
    one, and leave nothing half-done behind.

    Raises:
        OSError: there is no place for compiled code, or no process can be started.
    """

    def __init__(self, tasks: Sequence[CompileTask], start_method: StartMethod, most: int = MAX_PROCESSES) -> None:
        folder = default_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.mkdtemp(dir=folder, prefix="building_")
        scratch_folders.add(self._scratch)
        self._processes: list[ChildProcess] = []
        arguments = tasks, folder, Path(self._scratch)
        try:
            for number in range(min(usable_cores(), most)):
                self._processes.append(ChildProcess(compile_and_report, arguments, start_method, f"compiler-{number}"))
        except BaseException:
            self.close()
            raise

    def outcome(self) -> CompileOutcome | None:
        """How the next task went; ``None`` while they compile. The first that is done has waited for what others compile, and
        one that is killed leaves its share to them."""
        exit_codes = [process.exitcode for process in self._processes]  # before messages: the last may come just before the end
        for process in self._processes:
            for message in process.messages():
                assert isinstance(message, CompileOutcome)
                return message
        dead = [code for code in exit_codes if code is not None]
        if len(dead) < len(exit_codes):
            return None
        return CompileOutcome(False, f"{NOT_COMPILED}: the compiling process {describe_exit(dead[0])}", is_last=True)

    def close(self) -> None:
        """End them within a limit, with the compilers that they run and what is half-done."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        end_all(self._processes, _STOP_SECONDS)
        for process in self._processes:
            process.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        scratch_folders.discard(self._scratch)


def compile_and_report(tasks: Sequence[CompileTask], folder: Path, scratch: Path, pipe: Connection) -> None:
    """Entry of such a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the main process decides what it means here
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, args=(pipe, scratch), daemon=True).start()
    with single_threaded(), suppress(OSError):  # the main process is gone
        for task in tasks:
            pipe.send(_compile(task, SharingCompiler(folder, scratch, task.setup.bfloat16)))


def _compile(task: CompileTask, compiler: SharingCompiler) -> CompileOutcome:
    try:
        task.run(compiler)
        compiler.wait()
    except Exception as error:
        return CompileOutcome(False, f"{NOT_COMPILED}: {type(error).__name__}: {error}")
    return CompileOutcome(not compiler.failures, compiler.status_text(), compiler.compile_seconds)


def _exit(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # at any instruction: nothing that is interrupted is used


def _end_with_parent(pipe: Connection, scratch: Path) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()  # it never sends anything, so this is its end
    os.kill(os.getpid(), signal.SIGTERM)
    shutil.rmtree(scratch, ignore_errors=True)
