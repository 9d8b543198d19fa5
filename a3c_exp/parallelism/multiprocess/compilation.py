"""When a training's compiled code comes: before its workers start, or while they train uncompiled."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.compile.compiler import Compiler, NotCompiledYet
from a3c_exp.parallelism.base import MessageEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.compiling_processes import NOT_COMPILED, CompileTask, CompilingProcesses
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.system.child_process import StartMethod


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
            compiler = self._task.run(Compiler(only_find=background, bfloat16=setup.bfloat16))
        except NotCompiledYet:
            return setup, []
        setup = replace(setup, compile=not compiler.failures, compile_while_training=False)
        return setup, [MessageEvent(compiler.status_text())]

    def start(self, counters: SharedCounters, start_method: StartMethod) -> list[MessageEvent]:
        """Begin to compile for workers that train uncompiled; returns what there is to say."""
        self._counters, self._began = counters, time.monotonic()
        try:
            self._compiling = CompilingProcesses([self._task], start_method)
        except OSError as error:
            return [MessageEvent(f"{NOT_COMPILED}: {error}")]
        return [MessageEvent("compiling while it trains; workers run uncompiled until then")]

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
