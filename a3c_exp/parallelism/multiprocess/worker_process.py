"""What every process of a training shares with the main process: commands, heartbeats, and messages about its end."""

import os
import select
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.system.child_process import Crash, end_children
from a3c_exp.system.errors import A3CError, EnvInterfaceError, explain_os_error, refused_by_system
from a3c_exp.system.signals import leave_to_parent
from a3c_exp.system.torch_settings import single_threaded


@dataclass(frozen=True)
class NonFinite:
    """A worker computed a loss or gradient that is not finite; it was not applied."""

    worker: int
    window: int
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """Training cannot go on, for instance since an environment returned what it must not: a replacement's would do the same."""

    error: A3CError


@dataclass(frozen=True)
class Sharing:
    """What the workers of a process have in common: one copy of the weights and one update of all their windows; or when they
    pull, and so weights that are equal, but updates of their own (``None``: if their model is not stackable)."""

    one_update: bool = False
    pull_together: bool | None = False

    @property
    def of_group(self) -> tuple[bool, bool]:
        """``share_weights`` and ``equal_weights`` of a ``WorkerGroup``."""
        return self.one_update, self.pull_together is not False


@dataclass(frozen=True)
class WorkerAssignment:
    """Which workers a process hosts, its row of the shared counters, how long it waits for a lock, and what they share."""

    slot: int
    worker_ids: Sequence[int]
    lock_timeout: float
    sharing: Sharing = Sharing()


def run_in_worker(run: Callable[[], None], pipe: Connection) -> None:
    """Run the body of a process until ``run`` returns, the main process is gone, or an error, which is sent first.

    An environment that talks to a simulator raises what a pipe without a main process raises too, such as ``EOFError``; so any
    error is sent, and the main process is gone if that fails.
    """
    leave_to_parent()
    try:
        with single_threaded():
            run()
    except EnvInterfaceError as error:
        with suppress(OSError):
            pipe.send(Failure(error))
    except BaseException as error:
        refused = refused_by_system(error)
        with suppress(OSError):
            pipe.send(Crash(explain_os_error(refused) if refused else traceback.format_exc()))
        pipe.close()
        end_children()
        os._exit(1)
    finally:
        pipe.close()


class ProcessControl:
    """One process's link to the main process: it shows that it is alive, follows commands and sends messages, by ``send``
    where several threads do. ``row [len(CounterColumn)]`` is a view of its counters."""

    def __init__(
        self, slot: int, counters: SharedCounters, pipe: Connection, send: Callable[[Any], None] | None = None
    ) -> None:
        self.slot, self.counters, self.row = slot, counters, counters.table[slot]
        self.send: Callable[[Any], None] = send or pipe.send
        self._pipe_poller = select.poll()
        self._pipe_poller.register(pipe.fileno(), select.POLLIN)

    def heartbeat(self) -> None:
        self.row[CounterColumn.heartbeat] = time.monotonic_ns()

    def poll_commands(self) -> bool:
        """Show a heartbeat and follow the main process's command, waiting while it says pause; false when it is time to end."""
        self.heartbeat()
        command = self.counters.command
        if command is Command.run:
            return not self.parent_exited()
        while command is Command.pause and not self.parent_exited():
            self.counters.wait_at_barrier(self.slot)
            self.heartbeat()
            time.sleep(0.0005)
            command = self.counters.command
        return command is Command.run

    def parent_exited(self) -> bool:
        # The main process never writes here, so anything to read is the end of the pipe.
        return bool(self._pipe_poller.poll(0))
