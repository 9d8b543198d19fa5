"""Whether a process that wrote down its number still runs: numbers are given out again, start times are not."""

import contextlib
import socket
from functools import cache
from pathlib import Path

_TOLERANCE = 2.0  # seconds by which the start of one process may seem to differ: the time of the boot is known to a second


def process_start_time(pid: int) -> float | None:
    """Seconds from the machine's boot to the start of a process, whatever was done to the clock since; ``None`` without one."""
    import psutil  # here, because a list of finished runs asks about no process

    try:
        return round(float(psutil.Process(pid).create_time() - psutil.boot_time()), 2)
    except (psutil.Error, OSError, ValueError, OverflowError):
        return None


def is_same_process(pid: int, start_time: object) -> bool:
    """Whether a process of this number runs, and is the one that had this ``process_start_time`` (``None``: any)."""
    import psutil

    try:
        if pid <= 0 or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.AccessDenied:
        pass  # it runs, and belongs to another user
    except (psutil.Error, OSError, ValueError, OverflowError):
        return False
    now = process_start_time(pid)
    return not isinstance(start_time, int | float) or now is None or abs(now - start_time) < _TOLERANCE


@cache
def machine_id() -> str:
    """This machine since its last start: process ids mean something only within it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
