"""Run directories that are this process's own for as long as it works in them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from a3c_exp.runs.lease.holder import LEASE, LEASE_SECONDS, Holder, read_patiently, still_running
from a3c_exp.runs.lease.lease import Lease
from a3c_exp.system.errors import LeaseLost, RunDirectoryError
from a3c_exp.system.signals import exit_if_stopped

LOCK = ".lock"
_BEAT_SECONDS = 10.0  # between two signs of life
_POLL_SECONDS = 0.1  # between two attempts to get what is waited for

_held: dict[Path, Lease] = {}
"""The leases of this process, each by its directory."""


def confirm_lease(directory: Path) -> None:
    """To be called before a write in a run directory. Raises LeaseLost if another process took its lease from this one."""
    if (lease := _held.get(directory)) is not None:
        lease.confirm()


@contextlib.contextmanager
def locked(directories: Sequence[Path], timeout: float = 0.0) -> Iterator[None]:
    """Keep run directories to this process until the block or the process ends, even by SIGKILL. Raises RunDirectoryError if
    another process trains in one of them, as run.json alone cannot tell for certain, and still does after ``timeout`` seconds,
    or this one may not write there."""
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        leases = []
        for directory in directories:
            try:
                lock, lease = _acquire(directory, deadline)
            except OSError as error:
                raise RunDirectoryError(
                    f"cannot train in {directory}: its file {LOCK} cannot be written ({error.strerror}). "
                    "Free some space, or take a directory that you may write to"
                ) from None
            stack.callback(lock.release)
            stack.callback(lease.release)
            stack.callback(_held.pop, directory, None)
            _held[directory] = lease
            leases.append(lease)
        for directory in directories:  # what a writer that was killed has left half-written
            for part in [*directory.glob(".*.part"), *directory.glob("checkpoints/.*.part"), *directory.glob(f"{LEASE}.*")]:
                part.unlink(missing_ok=True)
        stack.enter_context(_kept_alive(leases))
        yield


def _acquire(directory: Path, deadline: float) -> tuple[BaseFileLock, Lease]:
    """The lock and the lease of a directory, waited for until the deadline."""
    while True:
        lock: BaseFileLock = FileLock(directory / LOCK)
        try:
            lock.acquire(blocking=False)
            try:
                return lock, Lease(directory)
            except BaseException:
                lock.release()
                raise
        except (Timeout, RunDirectoryError) as error:
            exit_if_stopped()
            if isinstance(lock, SoftFileLock) and _is_abandoned(directory):  # on a disk without locks, which a kill leaves
                (directory / LOCK).unlink(missing_ok=True)
            elif time.monotonic() >= deadline:
                if isinstance(error, RunDirectoryError):
                    raise
                raise still_running(directory, str(read_patiently(directory, alive=True) or "(unknown)")) from None
        time.sleep(_POLL_SECONDS)


def _is_abandoned(directory: Path) -> bool:
    holder = Holder.read(directory)
    if holder is not None and holder.is_here:
        return not holder.lives()
    times = [path.stat().st_mtime for path in (directory / LOCK, directory / LEASE) if path.exists()]
    return time.time() - max(times, default=0.0) > LEASE_SECONDS


@contextlib.contextmanager
def _kept_alive(leases: Sequence[Lease]) -> Iterator[None]:
    """A thread touches the leases as long as the process runs, whatever that does."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            for lease in leases:
                with contextlib.suppress(LeaseLost):  # the next write finds it too
                    lease.confirm(within=0.0)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    with contextlib.suppress(RuntimeError):  # the system gives no thread: writes renew it too
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
