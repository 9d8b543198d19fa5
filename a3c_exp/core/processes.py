"""How child processes of every kind are set up, and how one that ended is spoken of."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def one_thread_each() -> Iterator[None]:
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


def describe_exit(exitcode: int) -> str:
    """How a process ended, to go behind its name in a sentence; ``exitcode`` as ``multiprocessing`` gives it."""
    if exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"
