"""When a training's compiled code comes: before its workers start, or while they train uncompiled."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.compile.compiler import Compiler, NotCompiledYet, default_folder
from a3c_exp.compile.sharing import SharingCompiler
from a3c_exp.parallelism.base import MessageEvent, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.system.child_process import ChildProcess, StartMethod, describe_exit, end_all
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.signals import scratch_folders
from a3c_exp.system.torch_settings import single_threaded

_NOT_COMPILED = "not compiled, so this run goes on uncompiled and slower"
_MAX_PROCESSES = 4  # that compile: a training has about as many functions
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


class CompilingProcesses:
    """Compile in processes of their own, which share the functions, end with this one, and leave nothing half-done behind.

    Raises:
        OSError: there is no place for compiled code, or no process can be started.
    """

    def __init__(self, task: CompileTask, start_method: StartMethod) -> None:
        folder = default_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.mkdtemp(dir=folder, prefix="building_")
        scratch_folders.add(self._scratch)
        self._processes: list[ChildProcess] = []
        arguments = task, folder, Path(self._scratch)
        try:
            for number in range(min(usable_cores(), _MAX_PROCESSES)):
                self._processes.append(ChildProcess(compile_and_report, arguments, start_method, f"compiler-{number}"))
        except BaseException:
            self.close()
            raise

    def outcome(self) -> CompileOutcome | None:
        """How it went; ``None`` while they compile. The first that is done has waited for what others compile, and one that is
        killed leaves its share to them."""
        exit_codes = [process.exitcode for process in self._processes]  # before messages: the last may come just before the end
        for process in self._processes:
            for message in process.messages():
                assert isinstance(message, CompileOutcome)
                return message
        dead = [code for code in exit_codes if code is not None]
        if len(dead) < len(exit_codes):
            return None
        return CompileOutcome(False, f"{_NOT_COMPILED}: the compiling process {describe_exit(dead[0])}")

    def close(self) -> None:
        """End them within a limit, with the compilers that they run and what is half-done."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        end_all(self._processes, _STOP_SECONDS)
        for process in self._processes:
            process.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        scratch_folders.discard(self._scratch)


def compile_and_report(task: CompileTask, folder: Path, scratch: Path, pipe: Connection) -> None:
    """Entry of such a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the main process decides what it means here
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, args=(pipe, scratch), daemon=True).start()
    with single_threaded():
        try:
            compiler = SharingCompiler(folder, scratch)
            task.run(compiler)
            compiler.wait()
            outcome = CompileOutcome(not compiler.failures, compiler.status_text())
        except Exception as error:
            outcome = CompileOutcome(False, f"{_NOT_COMPILED}: {type(error).__name__}: {error}")
    with suppress(OSError):  # the main process is gone
        pipe.send(outcome)


def _exit(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # at any instruction: nothing that is interrupted is used


def _end_with_parent(pipe: Connection, scratch: Path) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()  # it never sends anything, so this is its end
    os.kill(os.getpid(), signal.SIGTERM)
    shutil.rmtree(scratch, ignore_errors=True)


class Compilation:
    """The main process's part: it has code compiled, tells the workers when it is there, and says when they went over to it."""

    def __init__(self, task: CompileTask) -> None:
        self._task = task
        self._compiling: CompilingProcesses | None = None
        self._counters: SharedCounters | None = None
        self._announced = False
        self._began = self.seconds = 0.0

    def prepare(self) -> tuple[TrainingSetup, list[MessageEvent]]:
        """What workers are to start with, and what there is to say: compiled code, if it must be there first or is there."""
        setup, background = self._task.setup, self._task.setup.compile_while_training
        if not (setup.compile or background):
            return setup, []
        try:
            compiler = self._task.run(Compiler(only_find=background))
        except NotCompiledYet:
            return setup, []
        setup = replace(setup, compile=not compiler.failures, compile_while_training=False)
        return setup, [MessageEvent(compiler.status_text())]

    def start(self, counters: SharedCounters, start_method: StartMethod) -> list[MessageEvent]:
        """Begin to compile for workers that train uncompiled; returns what there is to say."""
        self._counters, self._began = counters, time.monotonic()
        try:
            self._compiling = CompilingProcesses(self._task, start_method)
        except OSError as error:
            return [MessageEvent(f"{_NOT_COMPILED}: {error}")]
        return []

    def listen(self) -> Iterator[MessageEvent]:
        """What happened since the last call."""
        if self._compiling is not None and (outcome := self._compiling.outcome()) is not None:
            self._compiling.close()
            self._compiling, self.seconds = None, time.monotonic() - self._began
            if outcome.compiled:
                assert self._counters is not None
                self._counters.announce_code()
            else:
                yield MessageEvent(outcome.status_text)
        if self._waits_for_workers and (self._switches != 0).all():
            yield from self._announce()

    def stop(self) -> Iterator[MessageEvent]:
        """End a compilation that is no longer needed."""
        if self._compiling is not None:
            self._compiling.close()
            self._compiling = None
        if self._waits_for_workers and (self._switches > 0).any():
            yield from self._announce()

    @property
    def _waits_for_workers(self) -> bool:
        return self._counters is not None and self._counters.code_ready and not self._announced

    @property
    def _switches(self) -> NDArray[np.int64]:
        """Of each process that hosts workers, the environment step at which it went over; 0: not yet, -1: it could not."""
        assert self._counters is not None
        switches: NDArray[np.int64] = self._counters.table[: len(self._task.group_sizes), CounterColumn.compiled_at]
        return switches

    def _announce(self) -> Iterator[MessageEvent]:
        self._announced = True
        steps = self._switches[self._switches > 0]
        if len(steps):
            where = f"step {steps.min():,}" if len(steps) == 1 else f"steps {steps.min():,} to {steps.max():,}"
            yield MessageEvent(f"compiled in {self.seconds:.0f} s while it trained; workers run compiled from {where} on")
        if failed := int((self._switches < 0).sum()):
            some = f"{failed} of {len(self._switches)} worker processes"
            yield MessageEvent(f"{some} could not use the compiled code, and go on uncompiled and slower")

    def summary(self) -> dict[str, Any]:
        """Where code came during training: the step by which all had gone over to it, and the seconds it took."""
        if self._counters is None:
            return {}
        step = int(self._switches.max()) if self._counters.code_ready else 0
        return {"compiled_at_step": step if step > 0 else None, "compile_seconds": round(self.seconds, 1)}
