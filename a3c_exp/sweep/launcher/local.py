"""Several jobs of a sweep at a time, as many as the machine's cores can take, each in a process of its own."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.parallelism.multiprocess.supervisor import warm_up
from a3c_exp.runs.record import close_for, typed
from a3c_exp.sweep.launcher.exit_status import outcomes
from a3c_exp.sweep.launcher.job import Begun, Ended, JobOrder, Ready, Shown, Stopped, pack
from a3c_exp.sweep.launcher.job_process import JobProcess, start_limit
from a3c_exp.sweep.launcher.job_state import Entry, Told, names
from a3c_exp.sweep.launcher.sweep_progress import Board
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed
from a3c_exp.system.process_setup import describe_exit, usable_cores
from a3c_exp.system.signals import StopSignals

PRELOAD = ("a3c_exp.sweep.launcher.preload",)
"""What the fork server should import beside what workers need."""
STOP_SECONDS = 30.0
"""How long runs may take to save a checkpoint and end when asked to stop, before they are killed."""
_TICK = 0.2


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first_number: int,
    at_once: int | None,
    silence: float,
) -> Sequence[JobReturn]:
    """Run all jobs; what ``hydra.plugins.launcher.Launcher.launch`` promises.

    Args:
        context, task, config: as Hydra gave them to the launcher.
        job_overrides: each job's, sweeps resolved.
        first_number: hydra.job.num of the first.
        at_once: jobs at a time; ``None`` for as many as find cores: each is counted with as many as it keeps busy, and one
            that wants more than there are runs alone.
        silence: seconds without a sign of life after which a job's process counts as dead and is killed.

    Returns:
        In the order of ``job_overrides``. A job that died has an error that says how.

    Raises:
        ConfigError: nothing of this can be sent to another process.
        SystemExit: someone asked to stop; every run was given time to save a checkpoint.
    """
    warm_up((*PRELOAD, task_name(task)[0]))
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    orders = _orders(context, task, config, job_overrides, first_number)
    if not orders:
        return []
    outcomes.total = max(outcomes.total, first_number + len(orders))
    labels = names([order.overrides for order in orders])
    entries = [Entry(order.number, label) for order, label in zip(orders, labels, strict=True)]
    board = Board(Path(str(config.hydra.sweep.dir)), outcomes.total, outcomes.begun, len(outcomes.failures))
    with StopSignals() as stop:
        crew = _Crew(orders, entries, board, usable_cores() if at_once is None else at_once, at_once is None, silence)
        try:
            crew.run(stop)
        finally:
            crew.end_all()
            board.close(stopped=stop.name if stop.requested() else None)
    if stop.requested():
        raise SystemExit(stop.exit_code)
    return [entry.result for entry in entries if entry.result is not None]


def task_name(task: TaskFunction) -> tuple[str, str]:
    """The module and the name under which another process finds the function that Hydra calls.

    Raises:
        ConfigError: it cannot be found by a name.
    """
    module = sys.modules[task.__module__]
    name = task.__qualname__
    spec = getattr(module, "__spec__", None)
    if (task.__module__ == "__main__" and spec is None) or getattr(module, name, None) is not task:
        raise ConfigError(
            f"hydra/launcher=local starts processes, and they could not find {name}, which is no function of an importable "
            "module. Try hydra/launcher=basic"
        )
    return (spec.name if task.__module__ == "__main__" and spec else task.__module__), name


def _orders(
    context: HydraContext, task: TaskFunction, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobOrder]:
    sweep, name, command = pack(context, config), task_name(task), typed()
    environment, folder = dict(os.environ), str(Path.cwd())
    return [
        JobOrder(first + index, list(overrides), sweep, name, command, environment, folder)
        for index, overrides in enumerate(job_overrides)
    ]


def free(entries: Iterable[Entry], room: int, by_cores: bool) -> int:
    """How much of the ``room``, in cores or in jobs, is left beside those that have begun."""
    return room - sum(_share(entry, room, by_cores) for entry in entries if entry.begun)


def may_begin(entry: Entry, entries: Iterable[Entry], room: int, by_cores: bool) -> bool:
    """Whether there is room for one that is ready; one that wants more than there is at all may have all of it."""
    return entry.cores > 0 and _share(entry, room, by_cores) <= free(entries, room, by_cores)


def _share(entry: Entry, room: int, by_cores: bool) -> int:
    return min(entry.cores, room) if by_cores else 1


class _Crew:
    """The processes of a launch: in their order made ready, begun while there is room, listened to, and ended."""

    def __init__(
        self, orders: Sequence[JobOrder], entries: Sequence[Entry], board: Board, room: int, by_cores: bool, silence: float
    ) -> None:
        self._waiting = list(zip(orders, entries, strict=True))
        self._board = board
        self._room = room
        self._by_cores = by_cores
        self._silence = silence
        self._processes: dict[JobProcess, Entry] = {}
        self._looked = self._awake = time.monotonic()

    def run(self, stop: StopSignals) -> None:
        """Until every job is over, or all have been stopped."""
        asked, deadline = False, 0.0
        while self._processes or (self._waiting and not asked):
            if stop.requested() and not asked:
                asked, deadline = True, time.monotonic() + STOP_SECONDS
                self._ask_to_stop(stop.received or signal.SIGTERM)
            if not asked:
                self._prepare()
                self._begin()
            self._listen()
            if asked and time.monotonic() > deadline:
                return

    def _prepare(self) -> None:
        """Have processes ready for the room there is, and one more, which composes while others train."""
        room = free(self._processes.values(), self._room, self._by_cores)
        ready = sum(not entry.begun for entry in self._processes.values())
        while self._waiting and ready < max(1, room):
            order, entry = self._waiting.pop(0)
            self._processes[JobProcess(order)] = entry
            ready += 1

    def _begin(self) -> None:
        for process, entry in self._processes.items():
            if not entry.begun:
                if not may_begin(entry, self._processes.values(), self._room, self._by_cores):
                    return  # in their order: a large one is not passed by for ever
                self._note_beginning(entry)
                process.begin()

    def _note_beginning(self, entry: Entry) -> None:
        entry.begin()
        outcomes.begun += 1
        self._board.begin(entry)

    def _listen(self) -> None:
        sources = [source for process in self._processes for source in process.sources]
        wait(sources, _TICK)
        for process, entry in list(self._processes.items()):
            ended = process.exitcode is not None  # asked before reading, so that nothing it said is missed
            for line in process.lines(last=ended):
                self._board.say(entry, line)
            self._hear(process, entry)
            if ended:
                self._bury(process, entry, describe_exit(process.exitcode or 0))
            elif self._is_silent(process):
                process.kill()
                self._hear(process, entry)
                self._bury(process, entry, f"gave no sign of life for {self._silence:g} s and was killed")
        self._looked = time.monotonic()
        self._board.draw()

    def _hear(self, process: JobProcess, entry: Entry) -> None:
        for word in process.words():
            match word:
                case Ready():
                    entry.cores = word.cores
                case Begun():
                    entry.directory = Path(word.directory)
                case Shown():
                    self._board.show(entry, word.method, *word.arguments)
                case Stopped():
                    entry.stopped = word.code
                case Ended():
                    entry.result = Told.of(word.result)
                    if word.trace:
                        self._board.say(entry, word.trace.rstrip())

    def _is_silent(self, process: JobProcess) -> bool:
        now = time.monotonic()
        if now - self._looked > self._silence / 2:
            self._awake = now  # this process itself was away (Ctrl-Z, a suspended machine): everyone gets the time again
        entry = self._processes[process]
        if not entry.begun and entry.cores:
            return False  # ready, and waits for us
        limit = self._silence if entry.begun else start_limit(self._silence)
        return now - max(process.last_sign, self._awake, entry.since) > limit

    def _bury(self, process: JobProcess, entry: Entry, cause: str) -> None:
        pid = process.pid
        process.close()
        del self._processes[process]
        if not entry.begun:
            self._note_beginning(entry)  # it died before it could: a run that failed
        if entry.result is None:
            self._settle_the_dead(entry, pid, cause)
        assert entry.result is not None
        if entry.result.status is JobStatus.FAILED:
            error: Any = entry.result._return_value
            entry.failed = str(error) if isinstance(error, A3CError) else f"{type(error).__name__}: {error}"
            outcomes.fail(f"failed: {entry.name}: {entry.failed}", error)
        self._board.end(entry)

    def _settle_the_dead(self, entry: Entry, pid: int, cause: str) -> None:
        if entry.stopped is not None:
            who = {130: "Ctrl-C", 143: "SIGTERM"}.get(entry.stopped, f"exit code {entry.stopped}")
            reason = f"stopped by {who}"
        else:
            reason = f"its process {cause}"
            if entry.directory is not None:
                close_for(entry.directory, pid, "failed", reason)
        where = f"{entry.directory}: " if entry.directory is not None else ""
        entry.result = Told(overrides=entry.name.split(), status=JobStatus.FAILED)
        entry.result.return_value = RunFailed(f"{where}{reason}")

    def _ask_to_stop(self, number: int) -> None:
        for process, entry in list(self._processes.items()):
            if entry.begun:
                process.signal(number)
            else:  # it has done nothing yet
                process.kill()
                process.close()
                del self._processes[process]
        self._board.stopping()

    def end_all(self) -> None:
        """Nothing is left behind, whatever happened here."""
        for process in self._processes:
            process.signal(signal.SIGKILL)  # all at once, then each is waited for
        for process, entry in list(self._processes.items()):
            process.kill()
            self._hear(process, entry)
            self._bury(process, entry, f"did not end within {STOP_SECONDS:g} s when asked to, and was killed")
