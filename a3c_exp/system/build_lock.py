"""Two processes that need the same machine code: one makes it, the other waits for it, and not for ever."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.1


@contextmanager
def build_lock(path: Path, timeout: float) -> Iterator[int | None]:
    """Held by one process at a time; the kernel takes it back when its holder dies.

    Args:
        path: a file of its own, in a folder that is there; removed by who held it. Whoever waited for it meanwhile holds a file
            without a name, and so may work beside a newcomer: that is why they look once more whether there is work left.
        timeout: seconds to wait for whoever holds it; then both go on side by side, which costs time and nothing else.

    Yields:
        The process that was waited for, or ``None`` if nobody held it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    owner, deadline, held = None, time.monotonic() + timeout, False
    try:
        while not _try_acquire(file):
            owner = _read_owner(file) or owner or 0
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            held = True
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        yield owner
    finally:
        if held:
            path.unlink(missing_ok=True)
        os.close(file)  # and so gives it back


def _try_acquire(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner(file: int) -> int | None:
    with suppress(ValueError):
        return int(os.pread(file, 32, 0))
    return None
