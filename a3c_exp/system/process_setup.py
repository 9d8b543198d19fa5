"""The environment that processes start in: the user's folders, threads, cores, and the fork server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def user_folder(variable: str, default: str) -> Path:
    """This package's folder in that of a variable such as ``XDG_CACHE_HOME``, or in ``default``; an OSError without a home."""
    try:
        return Path(os.environ.get(variable) or default).expanduser() / "a3c_exp"
    except RuntimeError:
        raise OSError(f"this user has no home folder; set {variable} to a folder that you may write to") from None


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
    """Cores that this process may run on, and no more than Slurm has given its job: not every cluster enforces that."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(cores, int(given)) if given.isdecimal() and int(given) > 0 else cores


def share_fork_server() -> bool:
    """Let what this process starts come from the fork server that it came from itself, whose imports are done. Of its own
    accord ``multiprocessing`` looks for a server that is its own child, finds none, and starts another. Returns whether it is
    possible: since Python 3.14 the server wants a key that its children are not given."""
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is None or server._forkserver_address is None or hasattr(server, "_forkserver_authkey"):
        return False
    server.ensure_running = resource_tracker.ensure_running
    forkserver.ensure_running = resource_tracker.ensure_running
    return True
