"""The environment that child processes start in: threads, cores, and the fork server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Any

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def single_thread_environment() -> Iterator[None]:
    """What is started inside reads these variables before it loads a numeric library: one thread a process."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def share_fork_server() -> bool:
    """Let what this process starts come from the fork server that it came from itself, whose imports are done.

    ``multiprocessing`` says so of its own accord ("usually a child process will just reuse the forkserver started by its
    parent"), but looks for a server that is its own child, finds none, and starts another.

    Returns:
        Whether that is possible: this process came from a fork server that answers every process which knows its address. Since
        Python 3.14 the server wants a key that its children are not given; then each process starts a server of its own.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is None or server._forkserver_address is None or hasattr(server, "_forkserver_authkey"):
        return False
    server.ensure_running = resource_tracker.ensure_running
    forkserver.ensure_running = resource_tracker.ensure_running
    return True
